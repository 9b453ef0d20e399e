"""The memory of one camera and model: baseline, the last blocks, the standing. No clock, no files.

Blocks of `BLOCK` sampled frames come in. The first are the baseline; later ones stay in the ring
for as long as a window may reach, and then lengthen the baseline until it has a week: what comes
again every day or weekend becomes usual, and so does what changed meanwhile. What is compared is
always disjoint from what it is compared with.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from edge_agent.drift import cusum
from edge_agent.drift.baseline import Baseline, Ints
from edge_agent.drift.budget import MONTH_S, budget_of
from edge_agent.drift.contrast import Counts, Reals
from edge_agent.drift.grouping import BLOCK, Grouping
from edge_agent.drift.layout import HOURS, Layout
from edge_agent.drift.scan import SCALES
from edge_agent.drift.verdict import (
    CUSUM,
    LEAST_SAMPLES,
    LEAST_SHIFT,
    Finding,
    Standing,
    Verdict,
    chance_of,
    conclude,
    examine,
    findings_of,
)

WEEK_S = 7 * 86400.0
FIRST_SAMPLES = 2000
FULL_SAMPLES = 10_000
RING = SCALES[-1]


@dataclass(frozen=True, eq=False)
class Block:
    """`BLOCK` sampled frames.

    Attributes:
        frames: hour of the day -> frames.
        counts: hour of the day -> (size,) counts.
        seconds: how long it took.
        ended: wall-clock seconds of its last frame, by which histories are merged.
    """

    frames: dict[int, int]
    counts: dict[int, Ints]
    seconds: float
    ended: float = 0.0

    @cached_property
    def hours(self) -> Ints:
        """(24,) frames by hour."""
        made = np.zeros(HOURS, np.int64)
        for hour, frames in self.frames.items():
            made[hour] = frames
        return made

    @cached_property
    def total(self) -> Ints:
        """(size,) counts of all hours."""
        counts: Ints = np.sum(list(self.counts.values()), axis=0)
        return counts

    def learn(self, baseline: Baseline) -> None:
        """Add it to what is usual."""
        counts = np.zeros_like(baseline.counts)
        for hour, values in self.counts.items():
            counts[hour] = values
        baseline.add(counts, self.hours)


@dataclass
class History:
    """See the module.

    Attributes:
        layout: what is counted.
        baseline: grows until it is complete.
        learnt_s: what the baseline covers.
        blocks: that came in so far.
        grouping: (size,) counts per frame by which bins are grouped; empty while the first baseline
            is gathered.
        ring: the blocks after it, oldest first, at most `RING`.
        sums: (2, ordered features) cumulative sums upwards and downwards.
        runs: (2, ordered features) blocks since they were zero.
        standing: the alarm.
    """

    layout: Layout
    baseline: Baseline
    learnt_s: float = 0.0
    blocks: int = 0
    grouping: Reals = field(default_factory=lambda: np.zeros(0))
    ring: list[Block] = field(default_factory=list)
    sums: Reals = field(default_factory=lambda: np.zeros((2, 0)))
    runs: Reals = field(default_factory=lambda: np.zeros((2, 0)))
    standing: Standing = field(default_factory=Standing)

    def __post_init__(self) -> None:
        self._grouping: Grouping | None = None
        if not self.learning:
            self._grouping = Grouping.of(self.layout, self.grouping)
        self._found: tuple[Finding, ...] = ()

    @classmethod
    def begin(cls, layout: Layout) -> History:
        """Nothing seen yet."""
        zeros = np.zeros((2, len(layout.ordered)))
        return cls(layout, Baseline.empty(layout), sums=zeros, runs=zeros.copy())

    @property
    def learning(self) -> bool:
        """Whether the first baseline is still gathered."""
        return not self.grouping.size

    @property
    def samples(self) -> int:
        """Sampled frames in the ring: at `LEAST_SAMPLES` verdicts begin."""
        return BLOCK * len(self.ring)

    def add(self, block: Block, baseline_s: float) -> bool:
        """Take in a full block; whether there is enough for a verdict (`conclude`).

        Args:
            block: the next one.
            baseline_s: what the first baseline should cover at least.
        """
        self._found = ()
        self.blocks += 1
        if self.learning:
            self._learn(block)
            if self.baseline.samples >= FIRST_SAMPLES and self.learnt_s >= baseline_s:
                self._group()
            return False
        self.ring.append(block)
        if len(self.ring) > RING:
            self._let_go(self.ring.pop(0))
        if self.baseline.complete:
            self.accumulate(block)
        return self.samples >= LEAST_SAMPLES

    @property
    def chance(self) -> float | None:
        """How often per month chance begins to look like the last verdict; None without one."""
        if self.samples < LEAST_SAMPLES:
            return None
        found = self.findings()
        rates, weights = (np.array([getattr(one, name) for one in found]) for name in _CHANCE)
        return float(chance_of(rates, weights)) * MONTH_S / max(1.0, self.ring[-1].seconds)

    def conclude(self, level: float) -> Verdict:
        """The verdict of the newest block, at a level of false alarms per month."""
        verdict = conclude(self.findings(), budget_of(level, self.ring[-1].seconds))
        self.standing = self.standing.after(verdict)
        return verdict

    def window(self, blocks: int) -> Ints:
        """(size,) counts of the last blocks."""
        counts: Ints = np.sum([one.total for one in self.ring[-blocks:]], axis=0)
        return counts

    def findings(self) -> tuple[Finding, ...]:
        """The sharpest look at each feature, now; computed once per block."""
        if not self._found:
            self._found = tuple(self._look())
        return self._found

    def _learn(self, block: Block) -> None:
        block.learn(self.baseline)
        self.learnt_s += block.seconds

    def _group(self) -> None:
        self.grouping = self.baseline.per_frame()
        self._grouping = Grouping.of(self.layout, self.grouping)

    def _let_go(self, block: Block) -> None:
        """An old block becomes part of what is usual, in the first week."""
        if self.baseline.complete:
            return
        self._learn(block)
        if is_full(self.baseline.samples, self.learnt_s):
            self.baseline.complete = True
            self._group()

    def _look(self) -> list[Finding]:
        if self._grouping is None:
            return []
        lengths = [scale for scale in SCALES if scale <= len(self.ring)]
        last = np.array(lengths) - 1
        newest = self.ring[::-1]
        counts = np.cumsum([one.total for one in newest], axis=0)[last]
        frames = np.cumsum([one.hours for one in newest], axis=0)[last]
        looks = examine(self._grouping, self.baseline.reference(frames), counts)
        findings = findings_of(self._grouping, looks)
        if self.baseline.complete:
            self._add_slow(findings)
        return findings

    def accumulate(self, block: Block) -> None:
        """One step of the cumulative sums, against a baseline that is complete."""
        z = standardised(self.layout, self.baseline.reference(block.hours), block.total)
        self.sums = cusum.step(self.sums, z)
        self.runs = np.where(self.sums > 0, self.runs + 1, 0.0)

    def _add_slow(self, findings: list[Finding]) -> None:
        """The cumulative sums, as looks at their features, where they are the sharper ones."""
        rates, effects, runs = slow(self.sums, self.runs, self.baseline)
        places = [i for i, one in enumerate(self.layout.features) if one.ordered]
        for row, place in enumerate(places):
            if rates[row] < findings[place].rate:
                findings[place] = replace(
                    findings[place],
                    rate=float(rates[row]),
                    test="slow",
                    effect=float(effects[row]),
                    blocks=int(runs[row]),
                )


_CHANCE = ("rate", "weight")


def is_full(samples: int, seconds: float) -> bool:
    """Whether a baseline has its full length."""
    return samples >= FULL_SAMPLES and seconds >= WEEK_S


def slow(sums: Reals, runs: Reals, baseline: Baseline) -> tuple[Reals, Reals, Reals]:
    """Rates, effects and lengths in blocks, (..., ordered features), of cumulative sums.

    Args:
        sums: (..., 2, ordered features).
        runs: the same shape.
        baseline: complete; how sure it is of its means is part of the rate.
    """
    usual = baseline.usual()
    samples = np.array([usual[one.place].sum() for one in baseline.layout.ordered])
    per_block = BLOCK * samples / max(1, baseline.samples)
    side = sums.argmax(-2)[..., None, :]
    value, run = (np.take_along_axis(one, side, -2)[..., 0, :] for one in (sums, runs))
    with np.errstate(divide="ignore", invalid="ignore"):
        effect = (value / run + cusum.ALLOWANCE) / np.sqrt(per_block)
        rate = cusum.rate(value, np.sqrt(per_block / samples)) / CUSUM
    large = (value > 0) & (samples > 0) & (effect >= LEAST_SHIFT)
    signed = np.where(side[..., 0, :] == 1, -effect, effect)
    return np.where(large, np.minimum(1.0, rate), 1.0), np.where(large, signed, 0.0), run


def standardised(layout: Layout, reference: Counts, block: Counts) -> Reals:
    """Standard deviations that a block's mean ranks are off the baseline's; 0 if unknown.

    Args:
        layout: of the counts.
        reference: (..., size) counts of the baseline.
        block: (..., size) counts of the block.

    Returns:
        (..., ordered features).
    """
    starts, widths = layout.starts, np.diff(np.append(layout.starts, layout.size))
    n, m = (np.add.reduceat(one, starts, axis=-1) for one in (reference, block))
    with np.errstate(divide="ignore", invalid="ignore"):
        ranks = np.cumsum(reference, -1) - reference / 2
        means = np.add.reduceat(ranks * reference, starts, axis=-1) / n
        centred = (ranks - np.repeat(means, widths, -1)) / np.repeat(n, widths, -1)
        variance = np.add.reduceat(centred**2 * reference, starts, axis=-1) / n
        z = np.add.reduceat(centred * block, starts, axis=-1) / np.sqrt(m * variance)
    known = (n > 0) & (m > 0) & (variance > 0)
    ordered = [feature.ordered for feature in layout.features]
    return np.where(known, z, 0.0)[..., ordered]
