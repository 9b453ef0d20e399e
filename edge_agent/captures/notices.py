"""What people are told about captures: that some were taken, and when the disk takes none."""

from __future__ import annotations

import threading
from collections import Counter

from edge_agent.captures.reasons import FAILED, FULL, STUCK, Why
from edge_agent.checked import plural
from edge_agent.metrics import Message, event

TAKEN_EVERY_S = 60.0
_KINDS = {FULL: "capture.full", FAILED: "capture.failing", STUCK: "capture.failing"}


class Notices:
    """Turns outcomes into few events: one a minute for what was taken, one when trouble begins.

    Times are monotonic seconds. Any thread may tell it something.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._trouble = ""
        self._taken: Counter[str] = Counter()
        self._told_at: float | None = None

    def taken(self, name: str, camera: str, why: Why, now: float) -> list[Message]:
        """A frame is on the disk."""
        with self._lock:
            messages = []
            if self._trouble:
                self._trouble = ""
                messages.append(event("capture.restored", "info", "frames are kept again"))
            self._taken[why.reason] += 1
            if self._told_at is None or now - self._told_at >= TAKEN_EVERY_S:
                messages.append(self._tell_taken(name, camera, why))
                self._told_at = now
            return messages

    def trouble(self, refusal: str, text: str) -> list[Message]:
        """The disk did not take a frame; told once until it does again or fails otherwise."""
        with self._lock:
            if refusal == self._trouble:
                return []
            self._trouble = refusal
            severity = "warning" if refusal == FULL else "error"
            return [event(_KINDS[refusal], severity, f"frames are not kept: {text}")]

    def _tell_taken(self, name: str, camera: str, why: Why) -> Message:
        counts = dict(sorted(self._taken.items()))
        self._taken.clear()
        listed = ", ".join(f"{count} {reason}" for reason, count in counts.items())
        text = f"{plural(sum(counts.values()), 'frame')} kept ({listed}); last {name}: "
        return event(
            "capture.taken",
            "info",
            text + why.text,
            camera=camera,
            reason=why.reason,
            capture=name,
            **{f"taken_{reason}": count for reason, count in counts.items()},
        )
