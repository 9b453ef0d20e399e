"""What the checks look at: a reduced grey picture, a few of its rows, and some of its pixels.

The reduced picture says what is to be seen, averaged over so many pixels that noise is gone. The
rows say what the averaging hides: noise, fine detail, and whether anything changed at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from edge_agent.detection.preprocess import Image

LINE_STEP = 8
"""Every so many rows of the ones that are read become a line."""


@dataclass(frozen=True)
class View:
    """One frame, as the checks see it.

    Attributes:
        gray: (h, w) uint8, the whole picture reduced.
        lines: (n, W) uint8, some rows of the picture at full resolution.
        colour: (n, m, 3) BGR uint8, every so many pixels of every so many rows.
        size: width and height of the picture in pixels.
    """

    gray: Image
    lines: Image
    colour: Image
    size: tuple[int, int]


def look(image: Image, width: int) -> View:
    """Take from a (H, W, 3) BGR uint8 picture what the checks need."""
    rows = _gray_rows(image, width)
    lines = np.ascontiguousarray(rows[::LINE_STEP])
    step = max(1, image.shape[1] // width)
    colour = np.ascontiguousarray(image[:: 2 * step, ::step])  # reading rows is what costs time
    return View(_shrink(rows, image, width), lines, colour, (image.shape[1], image.shape[0]))


def reduce(image: Image, width: int) -> Image:
    """Shrink a (H, W, 3) BGR picture to grey with this width; smaller ones only lose colour.

    Area averaging (INTER_AREA), halving by halving because OpenCV is quickest at that. Of pictures
    wider than eight times the width only every k-th row is read: memory is what costs time there.
    """
    return _shrink(_gray_rows(image, width), image, width)


def _gray_rows(image: Image, width: int) -> Image:
    step = max(1, image.shape[1] // (4 * width))
    rows = image[::step] if image.shape[0] >= 4 * step else image
    return np.asarray(cv2.cvtColor(rows, cv2.COLOR_BGR2GRAY), np.uint8)


def _shrink(gray: Image, image: Image, width: int) -> Image:
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    while gray.shape[1] >= 2 * width and gray.shape[0] >= 2 * height:
        size = (gray.shape[1] // 2, gray.shape[0] // 2)
        gray = np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint8)
    if gray.shape[1] > width:
        gray = np.asarray(cv2.resize(gray, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    return gray


def line_mask(mask: Image, lines: tuple[int, ...]) -> Image:
    """A mask of the reduced picture as one of its lines, (n, W) uint8."""
    size = (lines[1], lines[0])
    return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), np.uint8)
