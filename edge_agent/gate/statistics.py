"""Five numbers of a picture, cheap on its reduced grey version and on some of its pixels."""

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
        warmth: mean red minus mean blue, -1..1: the colour of the light.
        chroma: mean distance of a pixel from grey (largest minus smallest of R, G, B), 0..1.
        sharpness: log10 of the variance of the Laplacian (Pech-Pacheco et al. 2000); -1 for a
            picture without any structure.
    """

    luminance: float
    contrast: float
    sharpness: float
    warmth: float
    chroma: float


def measure(gray: Image, colour: Image) -> Statistics:
    """Statistics of a picture.

    Args:
        gray: (h, w) uint8, reduced.
        colour: (n, m, 3) BGR uint8, some of its pixels.
    """
    mean, deviation = cv2.meanStdDev(gray)
    _, edges = cv2.meanStdDev(cv2.Laplacian(gray, cv2.CV_16S))
    variance = max(float(edges[0, 0]) ** 2, 0.1)
    blue, _, red, _ = cv2.mean(colour)
    channels = cv2.split(colour)
    highest = cv2.max(cv2.max(channels[0], channels[1]), channels[2])
    lowest = cv2.min(cv2.min(channels[0], channels[1]), channels[2])
    return Statistics(
        luminance=float(mean[0, 0]) / 255.0,
        contrast=float(deviation[0, 0]) / 255.0,
        sharpness=math.log10(variance),
        warmth=(red - blue) / 255.0,
        chroma=cv2.mean(cv2.subtract(highest, lowest))[0] / 255.0,
    )
