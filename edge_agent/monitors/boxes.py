"""What one camera's reported boxes were like: sums, so that windows add up. O(1) per frame."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edge_agent.detection.decode import Floats, Limit
from edge_agent.monitors.histogram import Counts

NEAR = 0.05
"""A score this close to its limit is near the threshold."""
Reals = npt.NDArray[np.float64]


@dataclass
class BoxSums:
    """Sums over the reported boxes of one camera.

    Attributes:
        near, candidates: detections near the limit, and those from just below it upwards.
        boxes: (classes,) that were reported.
        scores: (classes,) sums of their scores.
        geometry: sums of area (share of the picture), centre x and y (shares of its width and
            height).
        log_aspect: sum of the logarithms of width over height, of those with a height and a width.
        solid: how many those are.
    """

    classes: int
    near: int = 0
    candidates: int = 0
    boxes: Counts = field(init=False)
    scores: Reals = field(init=False)
    geometry: Reals = field(init=False)
    log_aspect: float = 0.0
    solid: int = 0

    def __post_init__(self) -> None:
        self.boxes = np.zeros(self.classes, np.int64)
        self.scores = np.zeros(self.classes)
        self.geometry = np.zeros(3)

    def add(self, detections: Floats, limit: Limit, size: tuple[int, int]) -> None:
        """Count one frame.

        Args:
            detections: (n, 6) in pixels, down to the decode floor.
            limit: score above which they are reported.
            size: width and height of the picture in pixels.
        """
        if not len(detections):
            return
        kinds = detections[:, 5].astype(np.intp)
        beyond = detections[:, 4] - (limit if isinstance(limit, float) else limit[kinds])
        self.candidates += int(np.count_nonzero(beyond >= -NEAR))
        self.near += int(np.count_nonzero(abs(beyond) < NEAR))
        above = beyond > 0
        if not above.any():
            return
        rows, kinds = detections[above].astype(np.float64), kinds[above]
        self.boxes += np.bincount(kinds, minlength=self.classes)
        self.scores += np.bincount(kinds, rows[:, 4], self.classes)
        self._measure(rows, size)

    def _measure(self, rows: Reals, size: tuple[int, int]) -> None:
        width, height = size
        across, down = rows[:, 2] - rows[:, 0], rows[:, 3] - rows[:, 1]
        centres = (rows[:, :2] + rows[:, 2:4]).sum(0) / 2
        self.geometry += (
            (across * down).sum() / (width * height), centres[0] / width, centres[1] / height,
        )  # fmt: skip
        solid = (across > 0) & (down > 0)
        self.log_aspect += float(np.log(across[solid] / down[solid]).sum())
        self.solid += int(np.count_nonzero(solid))

    def means(self) -> dict[str, float | None]:
        """``box_area``, ``box_x``, ``box_y``, and ``box_aspect`` (geometric); absent is None."""
        count = int(self.boxes.sum())
        if not count:
            return {}
        area, x, y = (self.geometry / count).tolist()
        aspect = float(np.exp(self.log_aspect / self.solid)) if self.solid else None
        return {"box_area": area, "box_aspect": aspect, "box_x": x, "box_y": y}
