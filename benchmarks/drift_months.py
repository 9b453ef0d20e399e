"""Months of blocks through the device's verdict, many at once.

The statistics of all blocks are computed by the device's own functions, which take leading axes;
tests/edge_agent/drift holds the alarms against those of a `History` that is fed block by block.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_agent.drift import cusum
from edge_agent.drift.baseline import Baseline
from edge_agent.drift.budget import MONTH_S, Seat, budget_of, levels
from edge_agent.drift.grouping import BLOCK, Grouping
from edge_agent.drift.history import (
    FIRST_SAMPLES,
    FULL_SAMPLES,
    RING,
    WEEK_S,
    slow,
    standardised,
)
from edge_agent.drift.layout import HOURS, Layout
from edge_agent.drift.scan import SCALES
from edge_agent.drift.verdict import CLEAR_AT, chance_of, examine, weights_of

Reals = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_TOGETHER = 24


@dataclass(frozen=True)
class Pace:
    """How fast blocks come.

    Attributes:
        block_s: seconds of one block.
        baseline_s: what the first baseline should cover at least.
    """

    block_s: float
    baseline_s: float

    @property
    def first(self) -> int:
        """Blocks of the first baseline."""
        return max(-(-FIRST_SAMPLES // BLOCK), int(np.ceil(self.baseline_s / self.block_s)))

    @property
    def full(self) -> int:
        """Blocks of the complete baseline."""
        most = max(FULL_SAMPLES / BLOCK, WEEK_S / self.block_s)
        return max(self.first + 1, int(np.ceil(most)))

    @property
    def month(self) -> int:
        """Blocks of 30 days."""
        return round(MONTH_S / self.block_s)

    def hours(self, number: int) -> Ints:
        """Hour of the day of each block."""
        return (np.arange(number) * self.block_s // 3600).astype(np.int64) % HOURS


class Months:
    """One camera's blocks.

    Args:
        layout: of the counts.
        counts: (blocks, size), the first baseline first.
        pace: how fast they came.
    """

    def __init__(self, layout: Layout, counts: Ints, pace: Pace) -> None:
        self._layout = layout
        self._counts = counts
        self._pace = pace
        self._hours = pace.hours(len(counts))
        self._sum = np.concatenate([np.zeros((1, layout.size), np.int64), np.cumsum(counts, 0)])
        frames = np.zeros((len(counts) + 1, HOURS), np.int64)
        frames[np.arange(1, len(counts) + 1), self._hours] = BLOCK
        self._frames = np.cumsum(frames, 0)
        self._frozen = pace.full + RING - 1  # the block at which the baseline is complete

    def chances(self, since: int, until: int) -> Reals:
        """How often per block any feature begins to look as it does, at blocks [since, until)."""
        split = min(max(since, self._frozen), until)
        parts = []
        if since < split:
            baseline = self._baseline(self._pace.first, complete=False)
            grouping = Grouping.of(self._layout, baseline.per_frame())
            parts.append(self._growing(np.arange(since, split), baseline, grouping))
        if split < until:
            baseline = self._baseline(self._pace.full, complete=True)
            grouping = Grouping.of(self._layout, baseline.per_frame())
            parts.append(self._complete(np.arange(split, until), baseline, grouping))
        return np.concatenate(parts)

    def _baseline(self, blocks: int, *, complete: bool) -> Baseline:
        baseline = Baseline.empty(self._layout)
        np.add.at(baseline.counts, self._hours[:blocks], self._counts[:blocks])
        baseline.frames += self._frames[blocks]
        baseline.complete = complete
        return baseline

    def _growing(self, at: Ints, baseline: Baseline, grouping: Grouping) -> Reals:
        """A block is usual once it has left the ring."""
        taken, parts = self._pace.first, []
        for some in _chunks(at):
            _, frames = self._windows(some)
            references = np.empty((len(some), len(SCALES), self._layout.size))
            for row, block in enumerate(some.tolist()):
                for index in range(taken, max(taken, block - RING + 1)):
                    baseline.counts[self._hours[index]] += self._counts[index]
                    baseline.frames[self._hours[index]] += BLOCK
                    taken = index + 1
                references[row] = baseline.reference(frames[row])
            parts.append(self._rates(some, grouping, references))
        return chance_of(np.concatenate(parts), weights_of(self._layout, grouping.known))

    def _complete(self, at: Ints, baseline: Baseline, grouping: Grouping) -> Reals:
        parts = [
            self._rates(some, grouping, baseline.reference(self._windows(some)[1]))
            for some in _chunks(at)
        ]
        rates = np.concatenate(parts)
        sums, runs = self._cusum(baseline, int(at[-1]) + 1)
        ordered = [i for i, one in enumerate(self._layout.features) if one.ordered]
        slower, _, _ = slow(sums[at - self._frozen], runs[at - self._frozen], baseline)
        rates[:, ordered] = np.minimum(rates[:, ordered], slower)
        return chance_of(rates, weights_of(self._layout, grouping.known))

    def _windows(self, at: Ints) -> tuple[Ints, Ints]:
        """(blocks, scales, ...) counts and frames by hour of the windows that end at each block."""
        begin = np.maximum(at[:, None] + 1 - np.array(SCALES), 0)
        return (
            self._sum[at + 1][:, None] - self._sum[begin],
            self._frames[at + 1][:, None] - self._frames[begin],
        )

    def _rates(self, at: Ints, grouping: Grouping, references: Reals) -> Reals:
        """(blocks, features); windows that reach into the first baseline are not there yet."""
        counts, _ = self._windows(at)
        there = at[:, None] + 1 - np.array(SCALES) >= self._pace.first
        return examine(grouping, references, np.where(there[..., None], counts, 0)).rate

    def _cusum(self, baseline: Baseline, until: int) -> tuple[Reals, Reals]:
        """(blocks, 2, ordered features) sums and their runs, from the block of the freeze on."""
        at = np.arange(self._frozen, until)
        reference = baseline.reference(self._frames[at + 1] - self._frames[at])
        z = standardised(self._layout, reference, self._counts[at])
        sums, runs = np.zeros((len(at), 2, z.shape[1])), np.zeros((len(at), 2, z.shape[1]))
        before, run = np.zeros(sums.shape[1:]), np.zeros(sums.shape[1:])
        for index, row in enumerate(z):
            before = cusum.step(before, row)
            run = np.where(before > 0, run + 1, 0.0)
            sums[index], runs[index] = before, run
        return sums, runs


def _chunks(at: Ints) -> list[Ints]:
    return np.array_split(at, -(-len(at) // _TOGETHER))


def alarms(chances: Sequence[Reals], block_s: float, knob: float) -> Iterator[tuple[int, int]]:
    """Where alarms begin, as (block, camera), when cameras share a knob.

    Args:
        chances: per camera, per block.
        block_s: seconds of one block.
        knob: false alarms per month.
    """
    monthly = [(one * (MONTH_S / block_s)).tolist() for one in chances]
    raised, calm = [False] * len(monthly), [0] * len(monthly)
    seats = {str(camera): Seat(None) for camera in range(len(monthly))}
    for block in range(len(monthly[0])):
        for camera, row in enumerate(monthly):
            seats[str(camera)] = Seat(row[block], raised[camera])
            if row[block] > CLEAR_AT * knob and not raised[camera]:
                continue
            budget = budget_of(levels(seats, knob)[str(camera)], block_s) * MONTH_S / block_s
            if not raised[camera]:
                if row[block] <= budget:
                    raised[camera], calm[camera] = True, 0
                    yield block, camera
            elif row[block] <= CLEAR_AT * budget:
                calm[camera] = 0
            else:
                calm[camera] += 1
                raised[camera] = calm[camera] < SCALES[0]
            seats[str(camera)] = Seat(row[block], raised[camera])
