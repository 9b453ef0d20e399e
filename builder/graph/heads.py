"""The two detection heads: raw output with decoded boxes, without non-maximum suppression.

The last node that a head draws makes the output of the graph.

Everything that depends only on the size of the input (cell positions, strides, anchors) is a
constant. All levels are joined first and decoded once.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from builder.checkpoint import Checkpoint, Module
from builder.checkpoint.describe import Head
from builder.errors import GraphError
from builder.graph.canvas import Canvas, Feature
from builder.graph.convolution import Doubles, doubles
from builder.graph.layers import draw

DrawHead = Callable[[Canvas, Checkpoint, str, list[Feature]], tuple[int, int]]

_SIDES_TO_BOX = np.array(
    [[-0.5, 0, 0.5, 0], [0, -0.5, 0, 0.5], [1, 0, 1, 0], [0, 1, 0, 1]], np.float64
)
"""(left, top, right, bottom) distances from a cell's centre to (cx, cy, w, h) relative to it."""


def draw_anchor_free(
    canvas: Canvas, checkpoint: Checkpoint, place: str, features: list[Feature]
) -> tuple[int, int]:
    """Draw the head of YOLOv5u.

    Each side of a box is a distribution over `reg_max` distances, in cells, of which the mean
    counts (Li et al., 2020, Generalized Focal Loss, arXiv 2006.04388).

    Returns:
        The output's shape without the batch: (4 + classes, cells); rows are cx, cy, w, h in pixels,
        then the score of each class.
    """
    head = checkpoint.layers[-1]
    sides = _levels(canvas, head, "cv2", place, features)
    scores = _levels(canvas, head, "cv3", place, features)
    bins = head.integer("reg_max")
    _expect(place, sides, 4 * bins)
    _expect(place, scores, len(checkpoint.names))
    boxes = _boxes_from_sides(canvas, head, place, _flat(canvas, f"{place}.cv2", sides), bins)
    steps = canvas.weight(f"{place}.strides", _cells(checkpoint, features)[None, None, :, 2])
    centres = _cells(checkpoint, features)
    offsets = np.concatenate([centres[:, :2] * centres[:, 2:], np.zeros_like(centres[:, :2])], 1)
    boxes = canvas.node("Mul", place, [boxes, steps])
    boxes = canvas.node("Add", place, [boxes, canvas.weight(f"{place}.centres", offsets.T[None])])
    likely = canvas.node("Sigmoid", place, [_flat(canvas, f"{place}.cv3", scores)])
    canvas.node("Concat", place, [boxes, likely], axis=1)
    return 4 + len(checkpoint.names), len(centres)


def _boxes_from_sides(canvas: Canvas, head: Module, place: str, sides: str, bins: int) -> str:
    """Turn (batch, 4 * bins, cells) logits into (batch, 4, cells) boxes in units of cells.

    The mean of each distribution and the step from sides to a box are both linear, so they are one
    matrix. It is drawn as a 1 x 1 convolution over a map of one row: TensorRT-RTX has float32
    convolutions for every GPU, but no float32 matrix product for Turing.
    """
    place = f"{place}.dfl"
    split = canvas.weight(f"{place}.split", [0, 4, bins, -1], "<i8")
    merge = canvas.weight(f"{place}.merge", [0, 4 * bins, 1, -1], "<i8")
    flat = canvas.weight(f"{place}.flat", [0, 4, -1], "<i8")
    distances = doubles(head.child("dfl").child("conv"), "weight", 4).reshape(-1)
    if distances.size != bins:
        raise GraphError(f"{place}: {distances.size} distances for {bins} bins")
    matrix = np.einsum("bs,d->bsd", _SIDES_TO_BOX, distances).reshape(4, 4 * bins, 1, 1)
    logits = canvas.node("Reshape", place, [sides, split])
    shares = canvas.node("Softmax", place, [logits], axis=2)
    shares = canvas.node("Reshape", place, [shares, merge])
    kernel = canvas.weight(f"{place}.box", matrix)
    boxes = canvas.node("Conv", place, [shares, kernel], kernel_shape=[1, 1])
    return canvas.node("Reshape", place, [boxes, flat])


def draw_anchor_based(
    canvas: Canvas, checkpoint: Checkpoint, place: str, features: list[Feature]
) -> tuple[int, int]:
    """Draw the head of the original repository.

    A cell predicts offsets s = sigmoid(x) to each of its anchors: the centre is (2 s - 1/2 + cell)
    * stride, the size (2 s)^2 * anchor (Jocher et al., 2020, YOLOv5, doi 10.5281/zenodo.3908559).

    Returns:
        The output's shape without the batch: (rows, 5 + classes); columns are cx, cy, w, h in
        pixels, objectness, then the score of each class.
    """
    head = checkpoint.layers[-1]
    anchors, columns = _anchor_pixels(checkpoint, head), 5 + len(checkpoint.names)
    levels = _levels(canvas, head, "m", place, features)
    _expect(place, levels, anchors.shape[1] * columns)
    rows = [
        _rows(canvas, f"{place}.m.{index}", level, columns) for index, level in enumerate(levels)
    ]
    raw = canvas.node("Sigmoid", place, [canvas.node("Concat", place, rows, axis=1)])
    parts = canvas.weight(f"{place}.parts", [2, 2, columns - 4], "<i8")
    centre, size, scores = canvas.split(place, raw, parts, axis=2, count=3)
    factors, shifts, areas = _anchor_constants(checkpoint, features, anchors)
    centre = canvas.node("Mul", place, [centre, canvas.weight(f"{place}.factors", factors[None])])
    centre = canvas.node("Add", place, [centre, canvas.weight(f"{place}.shifts", shifts[None])])
    size = canvas.node("Mul", place, [size, size])
    size = canvas.node("Mul", place, [size, canvas.weight(f"{place}.areas", areas[None])])
    canvas.node("Concat", place, [centre, size, scores], axis=2)
    return len(areas), columns


def _anchor_constants(
    checkpoint: Checkpoint, features: list[Feature], anchors: Doubles
) -> tuple[Doubles, Doubles, Doubles]:
    """Return what multiplies and shifts the centres and multiplies the sizes, in output order."""
    cells = _cells(checkpoint, features)
    counts = [feature.height * feature.width for feature in features]
    per_level = np.split(cells, np.cumsum(counts)[:-1])
    cells = np.concatenate([np.tile(level, (anchors.shape[1], 1)) for level in per_level])
    areas = np.concatenate(
        [np.repeat(boxes, count, axis=0) for boxes, count in zip(anchors, counts, strict=True)]
    )
    # The cell's own centre is at +1/2, the formula counts from -1/2: one whole cell less.
    return 2 * cells[:, 2:], (cells[:, :2] - 1.0) * cells[:, 2:], 4 * areas


def _anchor_pixels(checkpoint: Checkpoint, head: Module) -> Doubles:
    """Return the anchors' width and height in pixels, shape (levels, anchors, 2).

    Old releases keep them as a buffer of pixels beside the one in cells; the pixels are then what
    their code computes with.
    """
    cells = doubles(head, "anchors", 3)
    if cells.shape[0] != len(checkpoint.strides) or cells.shape[2] != 2 or not cells.size:
        raise GraphError(f"the head has anchors of shape {cells.shape}")
    buffers = head.state.get("_buffers")
    if isinstance(buffers, dict) and isinstance(buffers.get("anchor_grid"), np.ndarray):
        return doubles(head, "anchor_grid", 6).reshape(cells.shape)
    return cells * np.array(checkpoint.strides, np.float64)[:, None, None]


def _rows(canvas: Canvas, place: str, level: Feature, columns: int) -> str:
    """Reorder one level from (anchors * columns, height, width) to rows of columns."""
    cells = level.height * level.width
    split = canvas.weight(f"{place}.split", [0, level.channels // columns, columns, cells], "<i8")
    merge = canvas.weight(f"{place}.merge", [0, -1, columns], "<i8")
    name = canvas.node("Reshape", place, [level.name, split])
    name = canvas.node("Transpose", place, [name], perm=[0, 1, 3, 2])
    return canvas.node("Reshape", place, [name, merge])


def _levels(
    canvas: Canvas, head: Module, name: str, place: str, features: list[Feature]
) -> list[Feature]:
    """Draw the branch `name` of the head on each level."""
    branches = head.child(name).children
    if len(branches) != len(features):
        raise GraphError(f"{place}.{name}: {len(branches)} branches for {len(features)} levels")
    return [
        draw(canvas, branch, f"{place}.{name}.{key}", [feature])
        for (key, branch), feature in zip(branches.items(), features, strict=True)
    ]


def _flat(canvas: Canvas, place: str, levels: list[Feature]) -> str:
    """Join all levels into (batch, channels, cells)."""
    shape = canvas.weight(f"{place}.flat", [0, levels[0].channels, -1], "<i8")
    rows = [canvas.node("Reshape", place, [level.name, shape]) for level in levels]
    return canvas.node("Concat", place, rows, axis=2)


def _cells(checkpoint: Checkpoint, features: list[Feature]) -> npt.NDArray[np.float64]:
    """Return (x, y, stride) of every cell, x and y of its centre in cells; shape (cells, 3)."""
    levels = []
    for stride, feature in zip(checkpoint.strides, features, strict=True):
        y, x = np.mgrid[: feature.height, : feature.width].reshape(2, -1) + 0.5
        levels.append(np.stack([x, y, np.full_like(x, stride)], axis=1))
    return np.concatenate(levels)


def _expect(place: str, levels: list[Feature], channels: int) -> None:
    for level in levels:
        if level.channels != channels:
            raise GraphError(f"{place}: {level.channels} channels where {channels} are due")


HEADS: dict[Head, DrawHead] = {
    "yolov5-anchor": draw_anchor_based,
    "yolov5u": draw_anchor_free,
}
