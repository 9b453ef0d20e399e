"""The one way in which frames are counted, for the builder's profile and a device's windows alike.

If the two counted differently, their distance would be an alarm about our own code.
"""

from __future__ import annotations

from collections.abc import Mapping

from edge_agent.detection.decode import Floats, above
from edge_agent.gate.statistics import Statistics
from edge_agent.monitors.histogram import CLASS_FEATURE, Histograms


def observe_output(
    histograms: Histograms, detections: Floats, *, confidence: float, width: int, height: int
) -> None:
    """Count one frame's detections; this is what counts a frame.

    Args:
        histograms: counted into.
        detections: (n, 6), sorted by score, down to the decode floor.
        confidence: score from which a detection is reported; only ``score`` looks below it.
        width: of the picture in pixels.
        height: of the picture in pixels.
    """
    histograms.frames += 1
    reported = above(detections, confidence)
    histograms.add("score", detections[:, 4])
    histograms.add("detections_per_frame", len(reported))
    if len(reported):
        across = reported[:, 2] - reported[:, 0]
        down = reported[:, 3] - reported[:, 1]
        histograms.add("box_area", across * down / (width * height))
        solid = down > 0
        histograms.add("box_aspect", across[solid] / down[solid])
        histograms.add(CLASS_FEATURE, reported[:, 5])


def observe_input(histograms: Histograms, values: Mapping[str, float]) -> None:
    """Count one frame's picture, by `picture_values` or `Projection.features`."""
    for name, value in values.items():
        histograms.add(name, value)


def picture_values(statistics: Statistics | None, ssim: float | None) -> dict[str, float]:
    """What is counted of a picture, by feature.

    Args:
        statistics: of the picture; None where there is no gate, or the frame is none.
        ssim: None where there is no reference.
    """
    values = {}
    if statistics is not None:
        values = {
            "luminance": statistics.luminance,
            "contrast": statistics.contrast,
            "warmth": statistics.warmth,
            "chroma": statistics.chroma,
            "sharpness": statistics.sharpness,
        }
    if ssim is not None:
        values["ssim"] = ssim
    return values
