"""What each check of the gate scored in a window: counts in fixed bins, O(1) per frame."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np

# Shares of what is allowed: fine below the limit at 1, where a trend is seen coming.
EDGES = (
    0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85,
    0.9, 0.95, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0,
)  # fmt: skip


class ScoreTally:
    """The scores of one check, and how many frames failed it."""

    __slots__ = ("_counts", "failed", "most", "seen")

    def __init__(self) -> None:
        self._counts = [0] * (len(EDGES) + 1)
        self.seen = 0
        self.failed = 0
        self.most = 0.0

    def add(self, score: float, failed: bool) -> None:
        """Count one frame."""
        self._counts[bisect_right(EDGES, score)] += 1
        self.seen += 1
        self.failed += failed
        if score > self.most:
            self.most = score

    def quantile(self, q: float) -> float:
        """The q-quantile, linear inside a bin and never above the largest; 0 with no frame."""
        cumulative = np.cumsum([0, *self._counts]) / max(self.seen, 1)
        edges = (0.0, *EDGES, max(self.most, EDGES[-1]))
        return min(float(np.interp(q, cumulative, edges)), self.most)
