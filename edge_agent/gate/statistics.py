"""Three numbers of a picture, cheap on its reduced grey version."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

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


def reduce(image: Image, width: int) -> Image:
    """Shrink a (H, W, 3) BGR picture to grey with this width; smaller ones only lose colour.

    Area averaging (INTER_AREA), halving by halving because OpenCV is quickest at that. Of pictures
    wider than eight times the width only every k-th row is read: memory is what costs time there.
    """
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    step = max(1, image.shape[1] // (4 * width))
    rows = image[::step] if image.shape[0] >= 4 * step else image
    gray = cv2.cvtColor(rows, cv2.COLOR_BGR2GRAY)
    while gray.shape[1] >= 2 * width and gray.shape[0] >= 2 * height:
        size = (gray.shape[1] // 2, gray.shape[0] // 2)
        gray = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
    if gray.shape[1] > width:
        gray = cv2.resize(gray, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(gray, np.uint8)
