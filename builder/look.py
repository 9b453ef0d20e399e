"""What a model says of every reference picture: detections, and counts for its profile."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

from builder.crew import in_order
from builder.embedding import count
from builder.images import Picture
from builder.runner import Runner
from edge_agent.detection.decode import Floats, above
from edge_agent.detection.preprocess import Placement
from edge_agent.monitors.embedding import Projection
from edge_agent.monitors.histogram import PICTURE_FEATURES, Histograms
from edge_agent.monitors.observe import observe_output

_ROUNDS = 7


@dataclass
class Look:
    """Detections by picture.

    Attributes:
        floor: score down to which detections are kept.
        found: picture's name -> (n, 6) detections, best first.
        sizes: picture's name -> (width, height) in pixels.
        ssim: picture's name -> score of the input check; empty without a reference picture.
        embeddings: picture's name -> (channels,); empty where the graph gives none.
    """

    floor: float
    found: dict[str, Floats] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    ssim: dict[str, float] = field(default_factory=dict)
    embeddings: dict[str, Floats] = field(default_factory=dict)

    def add(self, name: str, found: Floats, placement: Placement, embedding: Floats | None) -> None:
        """Keep what was found on one picture; its (1, channels) embedding is None without one."""
        if embedding is not None:
            self.embeddings[name] = embedding[0]
        self.found[name] = found
        self.sizes[name] = (placement.width, placement.height)


def look(
    runner: Runner,
    pictures: Iterable[Picture],
    floor: float,
    inputs: Histograms,
    projection: Projection | None = None,
) -> tuple[Look, Histograms]:
    """Run a variant over all pictures.

    Args:
        runner: the variant.
        pictures: the same ones as for the fp32 graph.
        floor: see `Look`; at most the manifest's.
        inputs: counts of the fp32 graph's pass; what the camera saw is the same.
        projection: by which its embeddings are counted; None where there are none.

    Returns:
        Its detections, and the counts for its own profile.
    """
    decode, classes = runner.manifest.decode, len(runner.manifest.classes)
    seen, histograms = Look(floor), Histograms(classes)

    def judge(picture: Picture) -> tuple[str, Floats, Placement, Floats | None]:
        tensor, placement = runner.tensor(picture.pixels)
        outputs = runner.outputs(tensor)
        found, _ = runner.detections(outputs.raw, placement, floor=floor)
        return picture.name, found, placement, outputs.embedding

    for name, found, placement, embedding in in_order(judge, pictures):
        seen.add(name, found, placement, embedding)
        observe_output(
            histograms,
            above(found, decode.floor),
            confidence=decode.confidence,
            width=placement.width,
            height=placement.height,
        )
    for feature in PICTURE_FEATURES:
        histograms.counts[feature] = inputs.counts[feature].copy()
    if projection is not None:
        count(projection, seen.embeddings, histograms)
    return seen, histograms


def speeds_ms(runners: Sequence[Runner], tensor: Floats) -> list[float]:
    """Median time of one inference of each, in turns, so that a busy machine slows all alike."""
    times: list[list[float]] = [[] for _ in runners]
    for _ in range(_ROUNDS):
        for runner, series in zip(runners, times, strict=True):
            start = time.perf_counter()
            runner.raw(tensor)
            series.append((time.perf_counter() - start) * 1e3)
    return [median(series) for series in times]
