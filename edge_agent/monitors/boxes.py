"""What one camera's reported boxes were like: sums, so that windows add up. O(1) per frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edge_agent.detection.decode import Floats, Limit
from edge_agent.monitors.histogram import Counts

NEAR = 0.05
"""A score this close to its limit is near the threshold."""
Reals = npt.NDArray[np.float64]


class Cut(NamedTuple):
    """One frame's detections, cut at the score above which they are reported.

    Attributes:
        near, candidates: detections near that limit, and those from just below it upwards.
        rows: (n, 6) float32 that are reported.
        kinds: (n,) their classes.
        boxes: (classes,) how many of each; None when there are none.
    """

    near: int
    candidates: int
    rows: Floats
    kinds: npt.NDArray[np.intp]
    boxes: Counts | None


def cut(detections: Floats, limit: Limit, classes: int) -> Cut:
    """Cut (n, 6) detections, which go down to the decode floor, at a limit."""
    kinds = detections[:, 5].astype(np.intp)
    if not len(detections):
        return Cut(0, 0, detections, kinds, None)
    beyond = detections[:, 4] - (limit if isinstance(limit, float) else limit[kinds])
    candidates = int(np.count_nonzero(beyond >= -NEAR))
    near = int(np.count_nonzero(abs(beyond) < NEAR))
    above = beyond > 0
    if not above.any():
        return Cut(near, candidates, detections[:0], kinds[:0], None)
    rows, kinds = detections[above], kinds[above]
    return Cut(near, candidates, rows, kinds, np.bincount(kinds, minlength=classes))


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

    def add(self, cut: Cut, size: tuple[int, int]) -> None:
        """Count one frame of a picture with this width and height in pixels."""
        self.candidates += cut.candidates
        self.near += cut.near
        if cut.boxes is None:
            return
        self.boxes += cut.boxes
        self.scores += np.bincount(cut.kinds, cut.rows[:, 4], self.classes)
        self._measure(cut.rows.astype(np.float64), size)

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
