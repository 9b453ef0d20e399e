"""One pass over the reference images: what the model sees on each, and the reference profile."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from builder.crew import in_order
from builder.images import Picture
from builder.look import Look
from builder.runner import Runner
from edge_agent.bundle import Tolerance
from edge_agent.detection.decode import Floats, above
from edge_agent.detection.golden import compare
from edge_agent.detection.preprocess import Placement
from edge_agent.gate import Gate
from edge_agent.monitors.histogram import Histograms
from edge_agent.monitors.observe import observe_input, observe_output, picture_values

_IOU_SHIFT = 0.01


@dataclass(frozen=True)
class Sighting:
    """What the model saw on one picture.

    Attributes:
        name: of the picture.
        classes: class id -> best reported score.
        reported: detections above the confidence.
        top: best score of all, 0 when nothing is above the floor.
        nearest: least distance of a score to the confidence; 1 when there is none.
        steady: whether the detections stay the same when the NMS threshold moves a little: frames
            on which two correct machines might differ prove nothing.
    """

    name: str
    classes: dict[int, float]
    reported: int
    top: float
    nearest: float
    steady: bool


def survey(
    runner: Runner, pictures: Iterable[Picture], gate: Gate, seen: Look
) -> tuple[list[Sighting], Histograms]:
    """Run the model over all pictures.

    Args:
        runner: the graph.
        pictures: in a fixed order.
        gate: the input check, with the reference picture where there is one.
        seen: keeps the detections and the embedding of every picture.

    Returns:
        A sighting per picture, and all counts together.
    """
    manifest = runner.manifest
    histograms = Histograms(len(manifest.classes))
    sightings = []

    def judge(
        picture: Picture,
    ) -> tuple[Picture, Placement, Floats, list[Floats], Floats | None]:
        tensor, placement = runner.tensor(picture.pixels)
        outputs = runner.outputs(tensor)
        raw = outputs.raw
        everything, _ = runner.detections(raw, placement, floor=seen.floor)
        shifted = [
            runner.detections(raw, placement, iou_shift=shift)[0]
            for shift in (-_IOU_SHIFT, _IOU_SHIFT)
        ]
        return picture, placement, everything, shifted, outputs.embedding

    for picture, placement, everything, shifted, embedding in in_order(judge, pictures):
        seen.add(picture.name, everything, placement, embedding)
        found = above(everything, manifest.decode.floor)
        verdict = gate.check(picture.pixels)
        if verdict.ssim is not None:
            seen.ssim[picture.name] = verdict.ssim
        observe_output(
            histograms,
            found,
            confidence=manifest.decode.confidence,
            width=placement.width,
            height=placement.height,
        )
        observe_input(histograms, picture_values(verdict.statistics, verdict.ssim))
        sightings.append(_sighting(picture.name, found, shifted, manifest.decode.confidence))
    return sightings, histograms


def _sighting(name: str, found: Floats, shifted: list[Floats], confidence: float) -> Sighting:
    reported = above(found, confidence)
    classes: dict[int, float] = {}
    for row in reported[::-1]:  # ascending, so the best score stays
        classes[int(row[5])] = float(row[4])
    exact = Tolerance(iou=0.999, score=1e-4)
    scores = found[:, 4]
    return Sighting(
        name=name,
        classes=classes,
        reported=len(reported),
        top=float(scores[0]) if len(scores) else 0.0,
        nearest=float(np.abs(scores - confidence).min()) if len(scores) else 1.0,
        steady=not any(compare(found, other, exact, confidence) for other in shifted),
    )
