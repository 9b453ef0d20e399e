"""What is usual for a camera, hour by hour, and what of it a window is compared with. Pure.

A plant has shifts and daylight. Once a week has been seen, a window is compared with the mixture of
the hours of the day that it covers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_agent.drift.contrast import Reals
from edge_agent.drift.layout import HOURS, Layout

LEAST_PER_HOUR = 100
Ints = npt.NDArray[np.int64]


@dataclass
class Baseline:
    """Counts of the frames that are taken as usual.

    Attributes:
        layout: what the counts are of.
        counts: (24, size) by hour of the day.
        frames: (24,) frames by hour of the day.
        complete: whether it has its full length, so that it is frozen and hours are told apart.
    """

    layout: Layout
    counts: Ints
    frames: Ints
    complete: bool = False

    @classmethod
    def empty(cls, layout: Layout) -> Baseline:
        """Nothing seen yet."""
        return cls(layout, np.zeros((HOURS, layout.size), np.int64), np.zeros(HOURS, np.int64))

    @property
    def samples(self) -> int:
        """Frames in it."""
        return int(self.frames.sum())

    def add(self, counts: Ints, frames: Ints) -> None:
        """Take in a block: its (24, size) counts and (24,) frames by hour."""
        self.counts += counts
        self.frames += frames

    def usual(self) -> Reals:
        """(size,) counts of all hours together."""
        counts: Reals = self.counts.sum(0).astype(np.float64)
        return counts

    def reference(self, frames: npt.NDArray[np.int64]) -> Reals:
        """What windows with so many frames in each hour are compared with.

        The mixture of the hours' shares, in the window's proportions, counts for as many samples as
        its variance is worth: ``1 / sum(weight^2 / n)``. Windows that touch an hour which is hardly
        known, and all while the baseline grows, are compared with all hours together.

        Args:
            frames: (..., 24) frames of a window by hour.

        Returns:
            (..., size) counts, not whole numbers.
        """
        together = self.usual()
        result = np.broadcast_to(together, (*frames.shape[:-1], len(together))).copy()
        if not self.complete:
            return result
        known = ~((frames > 0) & (self.frames < LEAST_PER_HOUR)).any(-1)
        touched = frames[known].astype(np.float64)
        if not len(touched):
            return result
        mixed = np.empty((len(touched), len(together)))
        for feature in self.layout.features:
            mixed[:, feature.place] = self._mixture(touched, feature.place)
        result[known] = mixed
        return result

    def _mixture(self, frames: Reals, place: slice) -> Reals:
        """(windows, bins) of one feature; hours weigh as much as they should have of it."""
        counts = self.counts[:, place].astype(np.float64)
        n = counts.sum(1)
        weights = frames * (n / np.maximum(self.frames, 1))
        weights /= np.maximum(weights.sum(1, keepdims=True), 1e-300)
        worth = 1.0 / np.maximum((weights**2 / np.maximum(n, 1e-300)).sum(1), 1e-300)
        worth = np.minimum(worth, n.sum())
        mixture: Reals = worth[:, None] * (weights @ (counts / np.maximum(n, 1.0)[:, None]))
        return mixture
