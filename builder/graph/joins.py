"""Feature maps put together: along their channels, or number by number."""

from __future__ import annotations

from builder.errors import GraphError
from builder.graph.canvas import WORK_PER_NUMBER, Canvas, Feature


def join(canvas: Canvas, place: str, features: list[Feature]) -> Feature:
    """Concatenate feature maps along their channels.

    Raises:
        GraphError: they are of different heights or widths.
    """
    sizes = {(feature.height, feature.width) for feature in features}
    if len(sizes) != 1:
        raise GraphError(f"{place}: joins feature maps of different sizes {sorted(sizes)}")
    name = canvas.node("Concat", place, [feature.name for feature in features], axis=1)
    channels = sum(feature.channels for feature in features)
    joined = Feature(name, channels, features[0].height, features[0].width)
    canvas.work(place, WORK_PER_NUMBER * joined.numbers)
    return joined


def add(canvas: Canvas, place: str, one: Feature, other: Feature) -> Feature:
    """Add two feature maps.

    Raises:
        GraphError: they are of different sizes.
    """
    if (one.channels, one.height, one.width) != (other.channels, other.height, other.width):
        raise GraphError(f"{place}: adds feature maps of different sizes")
    canvas.work(place, WORK_PER_NUMBER * one.numbers)
    return one.renamed(canvas.node("Add", place, [one.name, other.name]))
