"""Months of blocks through the device's verdict, fast: only blocks that could matter are judged.

The statistics of all blocks are computed at once by the device's own functions. An alarm needs one
feature inside its share of the budget, or two inside the whole budget; where that is so, and until
an alarm is cleared, the device's `History` gives the verdict. tests/benchmarks holds this against
feeding a `History` block by block. One liberty: the baseline grows through an alarm.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from edge_agent.drift import cusum
from edge_agent.drift.baseline import Baseline
from edge_agent.drift.history import (
    FIRST_SAMPLES,
    FULL_SAMPLES,
    RING,
    WEEK_S,
    Block,
    History,
    Rules,
    standardised,
)
from edge_agent.drift.layout import HOURS, Layout
from edge_agent.drift.scan import SCALES, critical
from edge_agent.drift.verdict import (
    BLOCK,
    CUSUM,
    Standing,
    Verdict,
    choose_groups,
    conclude,
    look,
    looks,
    tests_of,
)

_critical = lru_cache(None)(critical)


@dataclass(frozen=True)
class Pace:
    """How fast blocks come.

    Attributes:
        block_s: seconds of one block.
        rules: of the camera.
    """

    block_s: float
    rules: Rules

    @property
    def first(self) -> int:
        """Blocks of the first baseline."""
        return max(-(-FIRST_SAMPLES // BLOCK), int(np.ceil(self.rules.baseline_s / self.block_s)))

    @property
    def full(self) -> int:
        """Blocks of the complete baseline."""
        most = max(FULL_SAMPLES / BLOCK, WEEK_S / self.block_s)
        return max(self.first + 1, int(np.ceil(most)))

    def hours(self, number: int) -> npt.NDArray[np.int64]:
        """Hour of the day of each block."""
        return (np.arange(number) * self.block_s // 3600).astype(np.int64) % HOURS


class Months:
    """One camera's blocks.

    Args:
        layout: of the counts.
        counts: (blocks, size), the first baseline first.
        pace: how fast they came.
    """

    def __init__(self, layout: Layout, counts: npt.NDArray[np.int64], pace: Pace) -> None:
        self._layout = layout
        self._counts = counts
        self._pace = pace
        self._hours = pace.hours(len(counts))
        self._sum = np.concatenate([np.zeros((1, layout.size), np.int64), np.cumsum(counts, 0)])
        frames = np.zeros((len(counts) + 1, HOURS), np.int64)
        frames[np.arange(1, len(counts) + 1), self._hours] = BLOCK
        self._frames = np.cumsum(frames, 0)
        self._budget = pace.rules.budget(pace.block_s)
        self._frozen = pace.full + RING - 1  # the block at which the baseline is complete
        self._growing_groups = choose_groups(self._baseline(pace.first, complete=False))
        self._full = self._baseline(min(pace.full, len(counts)), complete=True)
        self._full_groups = choose_groups(self._full)
        self._sums, self._runs = self._cusum()

    def alarms(self, since: int, until: int) -> Iterator[int]:
        """The blocks at which an alarm is raised, among those in [since, until)."""
        standing = Standing()
        candidates = self._candidates(since, until)
        at = since
        while at < until:
            if not standing.raised:
                later = np.flatnonzero(candidates[at - since :])
                if not len(later):
                    break
                at += int(later[0])
            was, standing = standing, standing.after(self.verdict(at))
            if standing.raised and not was.raised:
                yield at
            at += 1

    def verdict(self, at: int) -> Verdict:
        """What the device says at a block."""
        return conclude(self.history(at).findings(), self._budget)

    def history(self, at: int) -> History:
        """The device's memory after that block."""
        complete = at >= self._frozen
        learnt = min(max(self._pace.first, at - RING + 1), self._pace.full)
        baseline = self._full if complete else self._baseline(learnt, complete=False)
        begin = max(self._pace.first, at + 1 - RING)
        return History(
            self._layout,
            baseline,
            groups=self._full_groups if complete else self._growing_groups,
            ring=[self.block(index) for index in range(begin, at + 1)],
            sums=self._sums[at],
            runs=self._runs[at],
        )

    def block(self, index: int) -> Block:
        """One block as the device makes it."""
        hour = int(self._hours[index])
        return Block({hour: BLOCK}, {hour: self._counts[index]}, self._pace.block_s)

    def _baseline(self, blocks: int, *, complete: bool) -> Baseline:
        baseline = Baseline.empty(self._layout)
        np.add.at(baseline.counts, self._hours[:blocks], self._counts[:blocks])
        baseline.frames += self._frames[blocks]
        baseline.complete = complete
        return baseline

    def _candidates(self, since: int, until: int) -> npt.NDArray[np.bool_]:
        split = min(max(since, self._frozen), until)
        parts = [self._screen(a, b) for a, b in ((since, split), (split, until)) if a < b]
        return np.concatenate(parts)

    def _screen(self, since: int, until: int) -> npt.NDArray[np.bool_]:
        """Which blocks could raise an alarm; all of them on one side of the freeze."""
        at = np.arange(since, until)
        complete = since >= self._frozen
        number = len(self._layout.features)
        within = np.zeros((2, number, len(at)), bool)
        levels = (self._budget / number, self._budget)
        for scale in SCALES:
            begin = np.maximum(at + 1 - scale, 0)
            window = self._sum[at + 1] - self._sum[begin]
            enough = at + 1 - scale >= self._pace.first
            reference = self._reference(at, begin, complete=complete)
            groups = self._full_groups if complete else self._growing_groups
            for index, feature in enumerate(self._layout.features):
                for test in tests_of(feature):
                    chosen = groups[feature.name, scale]
                    found, freedom = look(feature, test, chosen, reference, window)
                    large = (np.abs(found.effect) >= test.least) & enough
                    for row, level in enumerate(levels):
                        least = _critical(level / looks(feature, test), freedom)
                        within[row, index] |= large & (found.x >= least)
        if complete:
            self._screen_sums(within, levels, at)
        return within[0].any(0) | (within[1].sum(0) > 1)

    def _screen_sums(
        self, within: npt.NDArray[np.bool_], levels: tuple[float, float], at: npt.NDArray[np.int64]
    ) -> None:
        for place, feature in enumerate(self._layout.ordered):
            index = self._layout.features.index(feature)
            samples = float(self._full.usual()[feature.place].sum())
            per_block = BLOCK * samples / self._full.samples
            most = self._sums[at, :, place].max(1)
            for row, level in enumerate(levels):
                least = _limit(level * CUSUM, float(np.sqrt(per_block / samples)))
                within[row, index] |= most >= least - 1e-3

    def _reference(
        self, at: npt.NDArray[np.int64], begin: npt.NDArray[np.int64], *, complete: bool
    ) -> npt.NDArray[np.float64]:
        if complete:
            return self._full.reference(self._frames[at + 1] - self._frames[begin])
        learnt = np.minimum(np.maximum(self._pace.first, at - RING + 1), self._pace.full)
        return self._sum[learnt].astype(np.float64)

    def _cusum(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """(blocks, 2, ordered features) sums and their runs; zero until the baseline is frozen."""
        shape = (len(self._counts), 2, len(self._layout.ordered))
        sums, runs = np.zeros(shape), np.zeros(shape)
        if self._frozen >= len(self._counts):
            return sums, runs
        at = np.arange(self._frozen, len(self._counts))
        reference = self._full.reference(self._frames[at + 1] - self._frames[at])
        z = np.stack(
            [
                standardised(reference[:, feature.place], self._counts[at, feature.place])
                for feature in self._layout.ordered
            ],
            axis=-1,
        )
        for row, index in zip(z, at.tolist(), strict=True):
            sums[index] = cusum.step(sums[index - 1], row)
            runs[index] = np.where(sums[index] > 0, runs[index - 1] + 1, 0.0)
        return sums, runs


_limit = lru_cache(None)(cusum.limit_for)
