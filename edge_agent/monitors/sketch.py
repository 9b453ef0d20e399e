"""Quantiles of a latency in constant memory: counts in buckets that grow by a fixed ratio.

The relative error of a quantile is at most half a bucket, 2 % (the idea of DDSketch, Masson, Rim
and Lee, VLDB 2019, with fixed edges so that two sketches merge by adding).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from itertools import accumulate

GROWTH = 1.04
LEAST_MS = 0.001
_BUCKETS = 600  # 0.001 ms to 4.6 hours
_SCALE = 1.0 / math.log(GROWTH)


class Sketch:
    """Counts of values in milliseconds; O(1) per value, mergeable."""

    __slots__ = ("_counts", "count", "total_ms")

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self.count = 0
        self.total_ms = 0.0

    def add(self, value_ms: float) -> None:
        """Count one value; what is not finite or negative is not a latency and is left out."""
        if not 0.0 <= value_ms < math.inf:
            return
        index = math.floor(math.log(value_ms / LEAST_MS) * _SCALE) if value_ms > LEAST_MS else 0
        self._counts[min(index, _BUCKETS - 1)] += 1
        self.count += 1
        self.total_ms += value_ms

    def merge(self, other: Sketch) -> None:
        """Add the values of another sketch."""
        self._counts = [a + b for a, b in zip(self._counts, other._counts, strict=True)]
        self.count += other.count
        self.total_ms += other.total_ms

    def quantile(self, q: float) -> float:
        """The q-quantile in milliseconds (the middle of its bucket); 0 with no value."""
        if not self.count:
            return 0.0
        wanted = max(1, math.ceil(q * self.count))
        index = bisect_left(list(accumulate(self._counts)), wanted)
        return LEAST_MS * math.pow(GROWTH, index + 0.5)

    @property
    def mean_ms(self) -> float:
        """The exact mean in milliseconds; 0 with no value."""
        return self.total_ms / self.count if self.count else 0.0
