"""The block that fills: counts of the sampled frames since the last full one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from edge_agent.drift.baseline import Ints
from edge_agent.drift.grouping import BLOCK
from edge_agent.drift.history import Block
from edge_agent.drift.layout import Layout


@dataclass
class Gathering:
    """Counts by hour of the day, like a block.

    Attributes:
        layout: of the counts.
        frames: hour -> frames.
        counts: hour -> (size,) counts.
        seconds: how long it has taken so far.
        ended: wall-clock seconds of its last frame.
    """

    layout: Layout
    frames: dict[int, int] = field(default_factory=dict)
    counts: dict[int, Ints] = field(default_factory=dict)
    seconds: float = 0.0
    ended: float = 0.0

    @property
    def samples(self) -> int:
        """Frames in it, fewer than `BLOCK`."""
        return sum(self.frames.values())

    def add(self, values: Mapping[str, float], hour: int, *, seconds: float, at: float) -> None:
        """Count a frame.

        Args:
            values: feature -> value.
            hour: of the day, local time.
            seconds: that the block has taken with this frame.
            at: wall-clock seconds of the frame.
        """
        if hour not in self.counts:
            self.frames[hour], self.counts[hour] = 0, np.zeros(self.layout.size, np.int64)
        self.counts[hour][self.layout.indices(values)] += 1
        self.frames[hour] += 1
        self.seconds, self.ended = seconds, at

    def full(self) -> Block | None:
        """The block, once it is full; this one is then empty again."""
        if self.samples < BLOCK:
            return None
        block = Block(self.frames, self.counts, self.seconds, self.ended)
        self.frames, self.counts, self.seconds = {}, {}, 0.0
        return block

    def copy(self) -> Gathering:
        """One that does not grow with this one."""
        counts = {hour: values.copy() for hour, values in self.counts.items()}
        return Gathering(self.layout, dict(self.frames), counts, self.seconds, self.ended)
