"""Frames that were kept and that were not, since the agent started."""

from __future__ import annotations

import threading
from collections import Counter

from edge_agent.captures.reasons import REASONS, REFUSALS


class Counts:
    """Counts by reason and by refusal; cameras and the writer count at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self.kept = 0
        self.size = 0

    def take(self, reason: str) -> None:
        """A frame is on the disk."""
        with self._lock:
            self._taken[reason] += 1

    def refuse(self, refusal: str) -> None:
        """A frame that was worth it is not, or not any more."""
        with self._lock:
            self._refused[refusal] += 1

    def totals(self) -> dict[str, int | float]:
        """For ``up/metrics/system``: counts since the start, and what lies on the disk now."""
        with self._lock:
            totals: dict[str, int | float] = {
                f"captures_taken_{reason}_total": self._taken[reason] for reason in REASONS
            }
            for refusal in REFUSALS:
                totals[f"captures_refused_{refusal}_total"] = self._refused[refusal]
        return totals | {"captures_kept": self.kept, "captures_mb": round(self.size / 1e6, 3)}
