"""What is watched: one value per feature of a sampled frame, and where it is counted. Pure.

A frame counts once per feature. What belongs to boxes is taken from one box of the frame, chosen by
a hash of the frame's number: boxes of one frame are no independent samples.
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_agent.detection.decode import Floats, above
from edge_agent.gate.statistics import Statistics
from edge_agent.monitors.histogram import (
    CLASS_FEATURE,
    EDGES,
    EMBEDDING_FEATURES,
    INPUT_FEATURES,
    PICTURE_FEATURES,
)
from edge_agent.monitors.observe import picture_values

HOURS = 24
_PLACE = tuple(step / 8 for step in range(1, 8))
_HALF = (*(step / 4 for step in range(1, 13)), 3.5, 4.0, 5.0, 6.0, 8.0)
_ALONG = (*(-edge for edge in reversed(_HALF)), 0.0, *_HALF)
_EDGES: dict[str, tuple[float, ...]] = {
    **EDGES,
    # Finer than the profile's: bins as wide as the spread of what is counted hide small shifts.
    "score": tuple(round(0.1 + 0.05 * step, 2) for step in range(18)),
    "box_area": tuple(2.0 ** (-0.5 * step) for step in range(26, 1, -1)),
    "box_aspect": tuple(2.0 ** (0.25 * step) for step in range(-8, 9)),
    # centre of the box as a share of the picture's width and height
    "box_x": _PLACE,
    "box_y": _PLACE,
    # A camera's own frames differ less than the reference pictures, in whose unit this is, and may
    # lie far from all of them.
    "embedding_distance": tuple(2.0 ** (step / 6) for step in range(-9, 25)),
    **dict.fromkeys(EMBEDDING_FEATURES[1:], _ALONG),
}
BOX_FEATURES = ("score", "box_area", "box_aspect", "box_x", "box_y", CLASS_FEATURE)
FEATURES = ("detections_per_frame", *BOX_FEATURES, *PICTURE_FEATURES)


@dataclass(frozen=True)
class Feature:
    """Where one feature is counted.

    Attributes:
        name: of it.
        ordered: whether neighbouring bins are alike; False for the classes.
        place: its bins in the vector of all counts.
    """

    name: str
    ordered: bool
    place: slice


def edges_of(name: str) -> tuple[float, ...]:
    """The inner edges of an ordered feature's bins; what lies outside is in the first or last."""
    return _EDGES[name]


def only_outputs(drifted: Collection[str]) -> bool:
    """Whether what the model says changed while nothing of the pictures did: another concept?"""
    return bool(drifted) and not set(drifted) & set(INPUT_FEATURES)


class Layout:
    """All features of a model's classes in one vector of counts.

    Args:
        classes: of the model.
        embedding: whether its frames come with an embedding.
    """

    def __init__(self, classes: int, *, embedding: bool = False) -> None:
        self.classes = classes
        self.names = (*FEATURES, *EMBEDDING_FEATURES) if embedding else FEATURES
        made, at = [], 0
        for name in self.names:
            bins = classes if name == CLASS_FEATURE else len(_EDGES[name]) + 1
            made.append(Feature(name, name != CLASS_FEATURE, slice(at, at + bins)))
            at += bins
        self.features = tuple(made)
        self.size = at
        self.ordered = tuple(feature for feature in made if feature.ordered)
        self.classes_feature = next(feature for feature in made if not feature.ordered)
        self.place_of_classes = self.classes_feature.place
        self.starts = np.array([feature.place.start for feature in made], np.intp)
        self._start = {feature.name: feature.place.start for feature in made}

    def indices(self, values: Mapping[str, float]) -> list[int]:
        """Where the values of one frame are counted; NaN is not."""
        return list(self._indices(values.items()))

    def _indices(self, values: Iterable[tuple[str, float]]) -> Iterator[int]:
        for name, value in values:
            if value != value:
                continue
            if name == CLASS_FEATURE:
                yield self._start[name] + min(max(int(value), 0), self.classes - 1)
            else:
                yield self._start[name] + bisect_right(_EDGES[name], value)


def values_of(
    detections: Floats,
    *,
    confidence: float,
    size: tuple[int, int],
    statistics: Statistics | None,
    ssim: float | None,
    seq: int,
    embedded: Mapping[str, float],
) -> dict[str, float]:
    """The values of one frame.

    Args:
        detections: (n, 6) rows x0, y0, x1, y1 in pixels, score, class; down to the decode floor.
        confidence: score from which a detection is reported; only ``score`` looks below it.
        size: width and height of the picture in pixels.
        statistics: of the picture, None where there is no gate.
        ssim: likeness to the reference, None without one.
        seq: number of the frame; chooses the box.
        embedded: features of its embedding; empty without one.
    """
    reported = above(detections, confidence)
    found = {"detections_per_frame": float(len(reported))}
    found |= picture_values(statistics, ssim)
    found |= embedded
    dice = zlib.crc32(seq.to_bytes(8, "little", signed=True))
    if len(detections):
        found["score"] = float(detections[dice % len(detections), 4])
    if len(reported):
        found |= _box(reported[dice % len(reported)], size)
    return found


def _box(row: npt.NDArray[np.float32], size: tuple[int, int]) -> dict[str, float]:
    x0, y0, x1, y1, _, kind = (float(value) for value in row)
    (width, height), across, down = size, x1 - x0, y1 - y0
    return {
        "box_area": across * down / (width * height),
        "box_aspect": across / down if down > 0 else float("nan"),
        "box_x": (x0 + x1) / 2 / width,
        "box_y": (y0 + y1) / 2 / height,
        CLASS_FEATURE: kind,
    }
