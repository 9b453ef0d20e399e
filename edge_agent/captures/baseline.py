"""Random moments: the captures that show what the camera sees when nothing is special."""

from __future__ import annotations

import random


class Baseline:
    """Moments of a Poisson process: each frame has the same chance, whatever came before.

    Args:
        per_hour: moments per hour, above 0.
        seed: the same seed gives the same moments.
        start_s: monotonic seconds from which the first one is drawn.
    """

    def __init__(self, per_hour: float, seed: str, start_s: float) -> None:
        self._rate = per_hour / 3600.0
        # Not for secrets: the moments shall be repeatable.
        self._random = random.Random(seed)  # noqa: S311
        self._due_s = start_s + self._random.expovariate(self._rate)

    def due(self, now_s: float) -> bool:
        """Whether a moment has come since the last frame; then the next one is drawn."""
        if now_s < self._due_s:
            return False
        self._due_s = now_s + self._random.expovariate(self._rate)
        return True
