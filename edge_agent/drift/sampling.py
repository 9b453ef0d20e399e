"""Which frames count: so far apart that they say something new.

The integrated autocorrelation time tau says how many neighbouring frames are worth one. Frames that
are 2.5 tau apart are correlated by less than 0.01 (exp(-5), for an AR(1) process). tau is learnt
at commissioning, or here, from means of 2^j frames in a row: the variance of a long mean is tau
times what it would be for independent frames (batch means; Flegal and Jones, Annals of Statistics
38, 2010). O(1) memory, two additions per frame on average.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

TIMES = 2.5
LEAST_SPACING_S = 6.0
LEVELS = 22
BATCHES = 48
"""Means of one level that make its variance believable: to 20 %."""
LONG = 10.0
"""A batch this many times tau holds nearly all of its correlation."""
CAREFUL = 1.3
"""What tau is multiplied by, because its estimate is one: an upper limit at 90 of 100."""


@dataclass
class Level:
    """Means of 2^j values: number, mean, sum of squares about it; one that waits for its pair.

    The recurrence is Welford's (Technometrics 4, 1962).
    """

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    waiting: float | None = None

    @property
    def variance(self) -> float:
        """Of the means; 0 below two."""
        return self.squares / (self.count - 1) if self.count > 1 else 0.0


@dataclass
class Independence:
    """tau of one statistic, while its values come in one by one."""

    levels: list[Level] = field(default_factory=lambda: [Level()])

    def add(self, value: float) -> None:
        """The next frame's value."""
        for index in range(LEVELS):
            if index == len(self.levels):
                self.levels.append(Level())
            level = self.levels[index]
            level.count += 1
            off = value - level.mean
            level.mean += off / level.count
            level.squares += off * (value - level.mean)
            if level.waiting is None:
                level.waiting = value
                return
            value, level.waiting = (level.waiting + value) / 2, None

    @property
    def frames(self) -> float | None:
        """Tau in frames, at least 1, on the careful side; None while it cannot be told."""
        alone = self.levels[0].variance
        if self.levels[0].count < BATCHES:
            return None
        if alone <= 1e-12 * (1.0 + self.levels[0].mean ** 2):
            return 1.0
        for index, level in enumerate(self.levels):
            if level.count < BATCHES:
                return None
            tau = max(1.0, math.ldexp(level.variance / alone, index))
            if math.ldexp(1.0, index) >= LONG * tau:
                return CAREFUL * tau
        return None


class Spacing:
    """Seconds between frames that count.

    Args:
        seconds: what is known beforehand; None learns it from the frames.
        statistics: how many values each frame gives.
    """

    def __init__(self, seconds: float | None, statistics: int) -> None:
        self.seconds = seconds
        self._learnt = [Independence() for _ in range(statistics)]
        self._frames = 0
        self._began: float | None = None

    def add(self, now: float, values: Sequence[float]) -> None:
        """A frame at a monotonic time, while the spacing is not known."""
        if self._began is None:
            self._began = now
        self._frames += 1
        for one, value in zip(self._learnt, values, strict=True):
            if math.isfinite(value):
                one.add(value)
        if self._frames % 64 == 0:
            self._conclude(now)

    def _conclude(self, now: float) -> None:
        seen = [one for one in self._learnt if one.levels[0].count]
        taus = [one.frames for one in seen]
        if self._began is None or self._frames < 2 or not taus or None in taus:
            return
        interval = (now - self._began) / (self._frames - 1)
        slowest = max(tau for tau in taus if tau is not None)
        self.seconds = max(LEAST_SPACING_S, TIMES * slowest * interval)
