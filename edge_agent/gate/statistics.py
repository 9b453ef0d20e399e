"""Three numbers of a picture, cheap on its reduced grey version."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2

from edge_agent.detection.preprocess import Image


@dataclass(frozen=True)
class Statistics:
    """Image statistics, in the units of `edge_agent.monitors.histogram.EDGES`.

    Attributes:
        luminance: mean grey level, 0..1.
        contrast: standard deviation of the grey level, 0..1.
        sharpness: log10 of the variance of the Laplacian (Pech-Pacheco et al. 2000); -1 for a
            picture without any structure.
    """

    luminance: float
    contrast: float
    sharpness: float


def measure(gray: Image) -> Statistics:
    """Statistics of a reduced (h, w) grey uint8 picture."""
    mean, deviation = cv2.meanStdDev(gray)
    _, edges = cv2.meanStdDev(cv2.Laplacian(gray, cv2.CV_16S))
    variance = max(float(edges[0, 0]) ** 2, 0.1)
    return Statistics(
        luminance=float(mean[0, 0]) / 255.0,
        contrast=float(deviation[0, 0]) / 255.0,
        sharpness=math.log10(variance),
    )
