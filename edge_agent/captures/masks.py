"""Privacy masks: parts of the picture that nobody is shown, in no file and on no page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from edge_agent.detection.decode import Floats
from edge_agent.detection.preprocess import Image

Polygon = Sequence[tuple[float, float]]
Hidden = npt.NDArray[np.bool_]
# A polygon's edge runs through pixels; those that it only touches are hidden too.
_EDGE_PIXELS = 3


class Mask:
    """The hidden parts of one camera's pictures, in shares of width and height.

    They hold at any resolution, so a camera that changes its own shows nothing more.

    Args:
        polygons: each at least three corners (x, y), 0..1.
    """

    def __init__(self, polygons: Sequence[Polygon]) -> None:
        self._polygons = [np.asarray(polygon, np.float64) for polygon in polygons]
        self._drawn: Hidden = np.zeros((0, 0), np.bool_)

    def of(self, height: int, width: int) -> Hidden:
        """(height, width) bool: which pixels are hidden. The last size is kept."""
        drawn = self._drawn  # of two threads, one may keep another size meanwhile
        if drawn.shape != (height, width):
            drawn = self._drawn = self._draw(height, width)
        return drawn

    def _draw(self, height: int, width: int) -> Hidden:
        canvas = np.zeros((height, width), np.uint8)
        for polygon in self._polygons:
            corners = np.rint(polygon * (width, height)).astype(np.int32)
            cv2.fillPoly(canvas, [corners], 1)
            cv2.polylines(canvas, [corners], True, 1, _EDGE_PIXELS)
        return canvas.astype(np.bool_)


def masks_of(shapes: Mapping[str, Sequence[Polygon]]) -> dict[str, Mask]:
    """Camera id -> its mask, for the cameras of ``[capture.masks]`` that hide anything."""
    return {camera: Mask(polygons) for camera, polygons in shapes.items() if polygons}


def covered(image: Image, mask: Mask | None) -> Image:
    """What may be shown of an (H, W, 3) or (H, W) picture; the picture itself without a mask."""
    return image if mask is None else blacken(image, mask.of(*image.shape[:2]))


def blacken(image: Image, hidden: Hidden) -> Image:
    """A copy of an (H, W, 3) or (H, W) picture with the hidden pixels black."""
    shown = image.copy()
    shown[hidden] = 0
    return shown


def visible(detections: Floats, hidden: Hidden) -> Floats:
    """The (n, 6) detections whose centre is not hidden, in their order."""
    height, width = hidden.shape
    centre_x = (detections[:, 0] + detections[:, 2]) / 2
    centre_y = (detections[:, 1] + detections[:, 3]) / 2
    column = np.clip(centre_x.astype(np.intp), 0, width - 1)
    row = np.clip(centre_y.astype(np.intp), 0, height - 1)
    return detections[~hidden[row, column]]
