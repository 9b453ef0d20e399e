"""Whether a camera is alive: the change from frame to frame where nothing should change."""

from __future__ import annotations

import statistics
from collections import deque
from typing import NamedTuple

import cv2
import numpy as np

from edge_agent.detection.preprocess import Image

KEPT = 9


class Beat(NamedTuple):
    """What the last frames say; None until there are enough.

    Attributes:
        noise: the least mean change, in grey levels, of the last `KEPT` frames.
        change: the median of the same.
        repeats: frames in a row that repeated the one before to the last bit.
    """

    noise: float | None
    change: float | None
    repeats: int


class Pulse:
    """Compares each frame's lines with those of the frame before.

    The same picture again and again has no new noise; a still scene before a living sensor has.
    This is the multi-frame comparison of the full-reference metrics, with the mean change in place
    of SSIM: between two neighbouring frames SSIM is so near 1 that it hardly tells noise from none.

    Args:
        mask: (n, W) uint8, not 0 where nothing moves and nothing has edges.
    """

    def __init__(self, mask: Image) -> None:
        self._mask = mask
        self._count = max(1, cv2.countNonZero(mask))
        self._before: Image | None = None
        self._changes: deque[float] = deque(maxlen=KEPT)
        self._repeats = 0

    def beat(self, lines: Image) -> Beat:
        """Take the next frame's (n, W) uint8 lines; they are kept until the next call."""
        before, self._before = self._before, lines
        if before is None:
            return Beat(None, None, 0)
        changed = cv2.norm(before, lines, cv2.NORM_INF) > 0
        self._repeats = 0 if changed else self._repeats + 1
        change = cv2.norm(before, lines, cv2.NORM_L1, self._mask) / self._count
        self._changes.append(float(change))
        if len(self._changes) < KEPT:
            return Beat(None, None, self._repeats)
        return Beat(min(self._changes), statistics.median(self._changes), self._repeats)


def flat(gray: Image, mask: Image, share: float = 0.15) -> Image:
    """The flattest ``share`` of a reduced picture's still part, (h, w) uint8 0 or 255."""
    smooth = cv2.GaussianBlur(gray.astype(np.float32), (0, 0), 1.0)
    slope = np.hypot(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1))
    steepest = cv2.dilate(np.asarray(slope, np.float32), np.ones((3, 3), np.uint8))
    inner = cv2.erode(mask, np.ones((3, 3), np.uint8)) > 0
    if not inner.any():
        return mask
    level = np.quantile(steepest[inner], share)
    return np.asarray(np.where(inner & (steepest <= level), 255, 0), np.uint8)
