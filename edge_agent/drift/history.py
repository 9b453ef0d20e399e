"""The memory of one camera and model: baseline, the last blocks, the standing. No clock, no files.

Blocks of `BLOCK` sampled frames come in. The first are the baseline; later ones stay in the ring
for as long as a window may reach, and then lengthen the baseline until it has a week. What is
compared is always disjoint from what it is compared with.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edge_agent.drift import cusum
from edge_agent.drift.baseline import Baseline, Ints
from edge_agent.drift.contrast import Reals
from edge_agent.drift.layout import HOURS, Layout
from edge_agent.drift.scan import SCALES
from edge_agent.drift.verdict import (
    BLOCK,
    CUSUM,
    LEAST_SAMPLES,
    LEAST_SHIFT,
    Finding,
    Groups,
    Standing,
    Verdict,
    choose_groups,
    conclude,
    examine,
)

MONTH_S = 30 * 86400.0
WEEK_S = 7 * 86400.0
MOST_BUDGET = 0.01
"""Of one verdict, however long its block took."""
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
    """

    frames: dict[int, int]
    counts: dict[int, Ints]
    seconds: float

    @property
    def hours(self) -> Ints:
        """(24,) frames by hour."""
        made = np.zeros(HOURS, np.int64)
        for hour, frames in self.frames.items():
            made[hour] = frames
        return made

    @property
    def total(self) -> Ints:
        """(size,) counts of all hours."""
        counts: Ints = np.sum(list(self.counts.values()), axis=0)
        return counts


@dataclass(frozen=True)
class Rules:
    """What may be set.

    Attributes:
        false_alarms_per_month: how many alarms this camera may raise in 30 days of no change.
        baseline_s: what the first baseline should cover at least.
    """

    false_alarms_per_month: float
    baseline_s: float

    def budget(self, seconds: float) -> float:
        """The false alarms that a verdict may add after so many seconds."""
        return min(MOST_BUDGET, self.false_alarms_per_month * seconds / MONTH_S)


@dataclass
class History:
    """See the module.

    Attributes:
        layout: what is counted.
        baseline: grows until it is complete.
        learnt_s: what the baseline covers.
        groups: which bins are counted together; empty while the first baseline is gathered.
        ring: the blocks after it, oldest first, at most `RING`.
        sums: (2, ordered features) cumulative sums upwards and downwards.
        runs: (2, ordered features) blocks since they were zero.
        standing: the alarm.
    """

    layout: Layout
    baseline: Baseline
    learnt_s: float = 0.0
    groups: Groups = field(default_factory=dict)
    ring: list[Block] = field(default_factory=list)
    sums: Reals = field(default_factory=lambda: np.zeros((2, 0)))
    runs: Reals = field(default_factory=lambda: np.zeros((2, 0)))
    standing: Standing = field(default_factory=Standing)

    @classmethod
    def begin(cls, layout: Layout) -> History:
        """Nothing seen yet."""
        zeros = np.zeros((2, len(layout.ordered)))
        return cls(layout, Baseline.empty(layout), sums=zeros, runs=zeros.copy())

    @property
    def learning(self) -> bool:
        """Whether the first baseline is still gathered."""
        return not self.groups

    @property
    def samples(self) -> int:
        """Sampled frames in the ring: at `LEAST_SAMPLES` verdicts begin."""
        return BLOCK * len(self.ring)

    def add(self, block: Block, rules: Rules) -> Verdict | None:
        """Take in a full block; the verdict, None while there is too little to judge."""
        if self.learning:
            self._learn(block)
            if self.baseline.samples >= FIRST_SAMPLES and self.learnt_s >= rules.baseline_s:
                self.groups = choose_groups(self.baseline)
            return None
        self.ring.append(block)
        if len(self.ring) > RING:
            self._let_go(self.ring.pop(0))
        if self.baseline.complete:
            self._accumulate(block)
        if self.samples < LEAST_SAMPLES:
            return None
        verdict = conclude(self.findings(), rules.budget(block.seconds))
        self.standing = self.standing.after(verdict)
        return verdict

    def window(self, blocks: int) -> tuple[Ints, Ints]:
        """(size,) counts and (24,) frames by hour of the last blocks."""
        last = self.ring[-blocks:]
        return sum_of([one.total for one in last]), sum_of([one.hours for one in last])

    def _learn(self, block: Block) -> None:
        counts = np.zeros_like(self.baseline.counts)
        for hour, values in block.counts.items():
            counts[hour] = values
        self.baseline.add(counts, block.hours)
        self.learnt_s += block.seconds

    def _let_go(self, block: Block) -> None:
        """An old block becomes part of what is usual, if nothing is suspected."""
        if self.baseline.complete or self.standing.raised:
            return
        self._learn(block)
        if self.baseline.samples >= FULL_SAMPLES and self.learnt_s >= WEEK_S:
            self.baseline.complete = True
            self.groups = choose_groups(self.baseline)

    def findings(self) -> list[Finding]:
        """The sharpest look at each feature, now."""
        windows, references = {}, {}
        for scale in SCALES:
            if scale <= len(self.ring):
                counts, frames = self.window(scale)
                windows[scale], references[scale] = counts, self.baseline.reference(frames)
        findings = [
            examine(feature, self.groups, references, windows) for feature in self.layout.features
        ]
        if not self.baseline.complete:
            return findings
        slow = {one.feature: one for one in self._slow()}
        return [min(one, slow.get(one.feature, one), key=lambda f: f.rate) for one in findings]

    def _accumulate(self, block: Block) -> None:
        reference = self.baseline.reference(block.hours)
        total = block.total
        z = np.array(
            [standardised(reference[f.place], total[f.place]) for f in self.layout.ordered]
        )
        self.sums = cusum.step(self.sums, z)
        self.runs = np.where(self.sums > 0, self.runs + 1, 0.0)

    def _slow(self) -> list[Finding]:
        """The cumulative sums, as looks at their features."""
        usual, found = self.baseline.usual(), []
        for index, feature in enumerate(self.layout.ordered):
            side = int(self.sums[:, index].argmax())
            value, run = float(self.sums[side, index]), float(self.runs[side, index])
            samples = float(usual[feature.place].sum())
            if not value or not samples:
                continue
            per_block = BLOCK * samples / self.baseline.samples
            effect = (value / run + cusum.ALLOWANCE) / math.sqrt(per_block)
            if effect < LEAST_SHIFT:
                continue
            rate = cusum.rate(value, math.sqrt(per_block / samples)) / CUSUM
            found.append(
                Finding(feature.name, min(1.0, rate), "slow", effect * (1, -1)[side], int(run))
            )
        return found


def standardised(reference: Reals, block: npt.NDArray[np.int64]) -> Reals:
    """How many of its standard deviations a block's mean rank is off the baseline's; 0 if unknown.

    Args:
        reference: (..., k) counts of the baseline.
        block: (..., k) counts of the block.
    """
    n, m = reference.sum(-1, keepdims=True), block.sum(-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        ranks = (np.cumsum(reference, -1) - reference / 2) / n
        centred = ranks - (ranks * reference).sum(-1, keepdims=True) / n
        variance = (centred**2 * reference).sum(-1) / n[..., 0]
        z = (centred * block).sum(-1) / np.sqrt(m[..., 0] * variance)
    known = (n[..., 0] > 0) & (m[..., 0] > 0) & (variance > 0)
    return np.where(known, z, 0.0)


def sum_of(parts: Sequence[Ints]) -> Ints:
    """Element by element."""
    total: Ints = np.sum(parts, axis=0)
    return total
