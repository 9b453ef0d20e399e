"""From the network's raw output to detections: best class, floor, NMS, back to picture pixels.

Equal to what ultralytics' predict does with the same output (``multi_label=False``), so the scores
and boxes on a device are those that the model's author saw. Detections are float32 rows
``x0, y0, x1, y1, score, class_id`` in pixels of the picture, best score first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edge_agent.bundle import DecodeSpec
from edge_agent.detection.preprocess import Placement

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]
Limit = float | Floats
"""One score for all classes, or (classes,) float32."""

# Boxes of different classes are moved apart by this many pixels before NMS, in float32, as the
# reference does; computing it otherwise would round near the threshold differently.
CLASS_OFFSET = np.float32(7680)
MOST_CANDIDATES = 30_000
_BLOCK = 128
_EMPTY: Floats = np.zeros((0, 6), np.float32)


def output_shape(head: str, classes: int, rows: int) -> tuple[int, int, int]:
    """The raw output's shape for ``rows`` candidate boxes."""
    return (1, rows, 5 + classes) if head == "yolov5-anchor" else (1, 4 + classes, rows)


def decode(raw: Floats, head: str, spec: DecodeSpec, placement: Placement) -> tuple[Floats, bool]:
    """Detections of one frame.

    Args:
        raw: (1, 4+nc, N) for ``yolov5u``, (1, N, 5+nc) for ``yolov5-anchor``; boxes are centre x,
            centre y, width, height in tensor pixels; scores 0..1.
        head: which of the two.
        spec: floor, NMS threshold, most detections.
        placement: where the picture lay in the tensor.

    Returns:
        (n, 6) float32 detections with a score above ``spec.floor``, and whether the raw output held
        NaN or Inf; candidates that did are left out.
    """
    candidates = raw[0] if head == "yolov5-anchor" else raw[0].T
    nonfinite = False
    # A sum is finite only when every term is: one cheap pass instead of a mask. (It may also
    # overflow, with an error that is not worth a warning.)
    with np.errstate(over="ignore", invalid="ignore"):
        total = np.add.reduce(raw, axis=None)
    if not np.isfinite(total):
        finite = np.isfinite(candidates).all(axis=1)
        nonfinite = not finite.all()
        candidates = candidates[finite]
    if head == "yolov5-anchor":
        boxes, scores, classes = _from_anchors(candidates, spec.floor)
    else:
        boxes, scores, classes = _from_v5u(candidates, spec.floor)
    if not len(scores):
        return _EMPTY.copy(), nonfinite
    order = np.argsort(-scores, kind="stable")[:MOST_CANDIDATES]
    corners, classes = _corners(boxes[order]), classes[order]
    keep = nms_sorted(
        corners + (classes.astype(np.float32) * CLASS_OFFSET)[:, None],
        spec.iou,
        spec.max_detections,
    )
    detections = np.empty((len(keep), 6), np.float32)
    detections[:, :4] = _to_picture(corners[keep], placement)
    detections[:, 4] = scores[order][keep]
    detections[:, 5] = classes[keep]
    return detections, nonfinite


def above(detections: Floats, limit: Limit) -> Floats:
    """The detections with a score above the limit, of all classes or of each one's own."""
    if isinstance(limit, (int, float)):  # a view: they are sorted by score
        return detections[: int(np.count_nonzero(detections[:, 4] > limit))]
    return detections[detections[:, 4] > limit[detections[:, 5].astype(np.intp)]]


def _from_v5u(candidates: Floats, floor: float) -> tuple[Floats, Floats, Indices]:
    scores = candidates[:, 4:]
    best = scores.max(axis=1)
    rows = np.flatnonzero(best > floor)
    return candidates[rows, :4], best[rows], scores[rows].argmax(axis=1)


def _from_anchors(candidates: Floats, floor: float) -> tuple[Floats, Floats, Indices]:
    some = candidates[candidates[:, 4] > floor]
    if not len(some):
        return some[:, :4], some[:, 4], np.zeros(0, np.intp)
    # Rounding keeps the order, so the best product is the product of the best; which class it is
    # may hang on a tie, so that is asked of the products themselves.
    best = some[:, 5:].max(axis=1) * some[:, 4]
    rows = np.flatnonzero(best > floor)
    some = some[rows]
    return some[:, :4], best[rows], (some[:, 5:] * some[:, 4:5]).argmax(axis=1)


def _corners(boxes: Floats) -> Floats:
    half = boxes[:, 2:] / np.float32(2)
    return np.concatenate((boxes[:, :2] - half, boxes[:, :2] + half), axis=1)


def _to_picture(corners: Floats, placement: Placement) -> Floats:
    pad = np.array([placement.pad_x, placement.pad_y] * 2, np.float32)
    gain = np.array([placement.gain_x, placement.gain_y] * 2, np.float32)
    most = np.array([placement.width, placement.height] * 2, np.float32)
    boxes: Floats = np.clip((corners - pad) / gain, np.float32(0), most)
    return boxes


def nms_sorted(corners: Floats, threshold: float, most: int) -> Indices:
    """Greedy non-maximum suppression over boxes that are sorted by score.

    A box is dropped when its intersection over union with a kept one is greater than ``threshold``
    (strictly, as torchvision's `nms`). Works block by block: a matrix of overlaps costs a few array
    operations, where a loop over boxes would cost as many for each of them.

    Args:
        corners: (n, 4) float32 x0, y0, x1, y1, best first.
        threshold: 0..1.
        most: stop after so many.

    Returns:
        Indices of the kept boxes, in order.
    """
    limit = np.float32(threshold)
    if float(limit) > threshold:  # compare float32 overlaps as if the threshold were exact
        limit = np.nextafter(limit, np.float32(-1))
    kept: list[int] = []
    for start in range(0, len(corners), _BLOCK):
        block = corners[start : start + _BLOCK]
        alive: Any = np.ones(len(block), bool)
        if kept:
            alive = ~_overlap(corners[kept], block, limit).any(axis=0)
        overlaps = _overlap(block, block, limit)
        for row in range(len(block)):
            if alive[row]:
                kept.append(start + row)
                alive &= ~overlaps[row]
        if len(kept) >= most:
            break
    return np.asarray(kept[:most], np.intp)


def _overlap(first: Floats, second: Floats, limit: np.float32) -> npt.NDArray[np.bool_]:
    """(n, m): whether the intersection over union of two boxes is above ``limit``."""
    ax0, ay0, ax1, ay1 = first.T[:, :, None]
    bx0, by0, bx1, by1 = second.T
    width = np.maximum(np.minimum(ax1, bx1) - np.maximum(ax0, bx0), 0)
    height = np.maximum(np.minimum(ay1, by1) - np.maximum(ay0, by0), 0)
    common = width * height
    union = (ax1 - ax0) * (ay1 - ay0) + (bx1 - bx0) * (by1 - by0) - common
    with np.errstate(invalid="ignore"):  # 0 / 0 of two empty boxes: not above any threshold
        above_limit: npt.NDArray[np.bool_] = common / union > limit
    return above_limit
