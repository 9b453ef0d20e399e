"""Parts of a camera's picture, in shares of its width and height."""

from __future__ import annotations

from edge_agent.checked import Fields

Polygon = tuple[tuple[float, float], ...]
"""Its corners, x and y, 0..1."""


def parse_shapes(fields: Fields) -> dict[str, tuple[Polygon, ...]]:
    """Camera id -> its polygons, as ``[capture.masks]`` and ``[gate.ignore]`` name them."""
    return {name: _polygons(fields, name) for name in fields.names()}


def _polygons(fields: Fields, camera: str) -> tuple[Polygon, ...]:
    """The shapes of one camera; a rectangle becomes the polygon of its corners."""
    shapes = []
    for shape in fields.number_lists(camera):
        if len(shape) < 4 or len(shape) % 2:
            fields.fault(
                camera,
                f"{list(shape)} should be x0, y0, x1, y1 of a rectangle"
                " or x, y of each corner of a polygon",
            )
        elif not all(0.0 <= value <= 1.0 for value in shape):
            fields.fault(
                camera, f"{list(shape)} should be shares of width and height, between 0 and 1"
            )
        elif min(len(set(shape[::2])), len(set(shape[1::2]))) < 2:
            fields.fault(camera, f"{list(shape)} has no area; it would cover nothing")
        else:
            shapes.append(_corners(shape))
    return tuple(shapes)


def _corners(shape: tuple[float, ...]) -> Polygon:
    if len(shape) == 4:
        x0, y0, x1, y1 = shape
        return ((x0, y0), (x1, y0), (x1, y1), (x0, y1))
    return tuple(zip(shape[::2], shape[1::2], strict=True))
