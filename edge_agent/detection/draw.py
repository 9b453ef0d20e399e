"""Detections on a picture, for people: one colour per class, labels that stay readable."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np

from edge_agent.detection.decode import Floats
from edge_agent.detection.preprocess import Image

Colour = tuple[int, int, int]

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FIRST_HUE = 0.98
_GOLDEN = 0.618034  # successive hues at the golden ratio never come close to each other
_TINT = 0.12
_SHIFT = 3  # OpenCV's fixed point: eighths of a pixel


def colour(class_id: int) -> Colour:
    """The BGR colour of a class, the same in every picture."""
    hue = (_FIRST_HUE + class_id * _GOLDEN) % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.78, 0.98)
    return round(blue * 255), round(green * 255), round(red * 255)


def draw(image: Image, detections: Floats, classes: Sequence[str]) -> Image:
    """A copy of the picture with boxes, class names and scores.

    Args:
        image: (H, W, 3) BGR uint8.
        detections: (n, 6) x0, y0, x1, y1, score, class_id; the best is drawn on top.
        classes: names by class_id; an id beyond them is written as a number.
    """
    picture = image.copy()
    for row in detections[::-1]:
        _box(picture, row, colour(int(row[5])))
    for row in detections[::-1]:
        number = int(row[5])
        name = classes[number] if number < len(classes) else str(number)
        _label(picture, row, f"{name} {row[4]:.2f}", colour(number))
    return picture


def _scale(picture: Image) -> float:
    height, width = picture.shape[:2]
    return max(0.6, min(int(height), int(width)) / 640.0)


def _box(picture: Image, row: Floats, ink: Colour) -> None:
    x0, y0, x1, y1 = (round(float(side) * (1 << _SHIFT)) for side in row[:4])
    corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.int32)
    width = max(1, round(2 * _scale(picture)))
    inside = picture[y0 >> _SHIFT : y1 >> _SHIFT, x0 >> _SHIFT : x1 >> _SHIFT]
    if inside.size:
        tinted = inside * (1 - _TINT) + np.asarray(ink, np.float32) * _TINT
        inside[:] = tinted.astype(np.uint8)
    cv2.polylines(picture, [corners], True, ink, width, cv2.LINE_AA, _SHIFT)


def _label(picture: Image, row: Floats, text: str, ink: Colour) -> None:
    """A filled tag above the box, below its upper edge where the picture ends."""
    size = 0.5 * _scale(picture)
    weight = max(1, round(size * 1.6))
    (width, height), base = cv2.getTextSize(text, _FONT, size, weight)
    pad = max(3, round(6 * size))
    left = max(0, min(round(float(row[0])), picture.shape[1] - width - 2 * pad))
    bottom = round(float(row[1]))
    if bottom - height - base - pad < 0:
        bottom = min(bottom + height + base + pad, picture.shape[0] - 1)
    top = bottom - height - base - pad
    cv2.rectangle(picture, (left, top), (left + width + 2 * pad, bottom), ink, cv2.FILLED)
    place = (left + pad, bottom - base // 2 - pad // 2)
    cv2.putText(picture, text, place, _FONT, size, _readable(ink), weight, cv2.LINE_AA)


def _readable(ink: Colour) -> Colour:
    """Black or white, whichever stands out more on this colour (ITU-R BT.601 luma)."""
    luma = 0.114 * ink[0] + 0.587 * ink[1] + 0.299 * ink[2]
    return (20, 20, 20) if luma > 130 else (255, 255, 255)
