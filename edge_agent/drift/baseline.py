"""What is usual for a camera, hour by hour, and what of it a window is compared with. Pure.

A plant has shifts and daylight, so a window is compared with the mixture of the hours of the day
that it covers. A first baseline of a day knows each of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_agent.drift.contrast import Reals
from edge_agent.drift.layout import HOURS, Layout

LEAST_PER_HOUR = 60
Ints = npt.NDArray[np.int64]


@dataclass
class Baseline:
    """Counts of the frames that are taken as usual.

    Attributes:
        layout: what the counts are of.
        counts: (24, size) by hour of the day.
        frames: (24,) frames by hour of the day.
        complete: whether it has its full length, a week, so that it is frozen.
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

    def per_frame(self) -> Reals:
        """(size,) counts of all hours together, per frame."""
        return self.usual() / max(1, self.samples)

    def reference(self, frames: npt.NDArray[np.int64]) -> Reals:
        """What windows with so many frames in each hour are compared with.

        The mixture of the hours' shares, in the window's proportions, counts for as many samples as
        its variance is worth: ``1 / sum(weight^2 / n)``. Windows that touch an hour which is hardly
        known are compared with all hours together.

        Args:
            frames: (..., 24) frames of a window by hour.

        Returns:
            (..., size) counts, not whole numbers.
        """
        together = self.usual()
        result = np.broadcast_to(together, (*frames.shape[:-1], len(together))).copy()
        known = ~((frames > 0) & (self.frames < LEAST_PER_HOUR)).any(-1)
        if known.any():
            result[known] = self._mixture(frames[known].astype(np.float64))
        return result

    def _mixture(self, frames: Reals) -> Reals:
        """(windows, size); hours weigh as much as they should have of each feature."""
        starts = [feature.place.start for feature in self.layout.features]
        widths = [feature.place.stop - feature.place.start for feature in self.layout.features]
        n = np.add.reduceat(self.counts, starts, axis=1).astype(np.float64)
        weights = frames[..., None] * (n / np.maximum(self.frames, 1)[:, None])
        weights /= np.maximum(weights.sum(1, keepdims=True), 1e-300)
        worth = 1.0 / np.maximum((weights**2 / np.maximum(n, 1e-300)).sum(1), 1e-300)
        worth = np.minimum(worth, n.sum(0))
        mixture = np.empty((len(frames), self.layout.size))
        for index, feature in enumerate(self.layout.features):
            shares = self.counts[:, feature.place] / np.maximum(n[:, index, None], 1.0)
            np.matmul(weights[..., index], shares, out=mixture[:, feature.place])
        mixture *= np.repeat(worth, widths, axis=1)
        return mixture
