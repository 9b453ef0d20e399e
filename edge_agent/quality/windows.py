"""Local means and moments, and the two ways in which the metrics shrink a picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from edge_agent.quality.plane import Plane

GAUSSIAN = 11  # side and deviation of the window of Wang et al. 2004, in pixels
SIGMA = 1.5
STRIP_ROWS = 64

Blur = Callable[[Plane], Plane]


def gaussian(plane: Plane, side: int = GAUSSIAN, sigma: float = SIGMA) -> Plane:
    """Gaussian means of every ``side`` x ``side`` window that lies in the picture (side odd).

    Returns:
        (H - side + 1, W - side + 1) float64.
    """
    kernel = cv2.getGaussianKernel(side, sigma, cv2.CV_64F)
    half = side // 2
    blurred = cv2.sepFilter2D(plane, cv2.CV_64F, kernel, kernel)
    return np.asarray(blurred[half : plane.shape[0] - half, half : plane.shape[1] - half])


def box(plane: Plane, side: int) -> Plane:
    """Plain means of every ``side`` x ``side`` window that lies in the picture.

    Returns:
        (H - side + 1, W - side + 1) float64.
    """
    before = side // 2
    after = side - 1 - before
    means = cv2.boxFilter(plane, cv2.CV_64F, (side, side))
    return np.asarray(means[before : plane.shape[0] - after, before : plane.shape[1] - after])


@dataclass(frozen=True)
class Moments:
    """Local means, variances (never negative) and covariance of two planes, each (h, w)."""

    mean_x: Plane
    mean_y: Plane
    variance_x: Plane
    variance_y: Plane
    covariance: Plane


def moments(x: Plane, y: Plane, blur: Blur = gaussian) -> Moments:
    """Population moments under the weights of ``blur``."""
    mean_x, mean_y = blur(x), blur(y)
    return Moments(
        mean_x,
        mean_y,
        np.maximum(blur(x * x) - mean_x * mean_x, 0.0),
        np.maximum(blur(y * y) - mean_y * mean_y, 0.0),
        blur(x * y) - mean_x * mean_y,
    )


def compare(
    x: Plane,
    y: Plane,
    by: Callable[[Moments], Plane],
    blur: Blur = gaussian,
    side: int = GAUSSIAN,
) -> Plane:
    """A map of some function of the local moments, strip by strip: what is at work stays in cache.

    Args:
        x: (H, W).
        y: the same.
        by: from moments to a plane of their shape.
        blur: means over windows that lie in the picture.
        side: of those windows.

    Returns:
        (H - side + 1, W - side + 1) float64.
    """
    rows, columns = x.shape[0] - side + 1, x.shape[1] - side + 1
    values = np.empty((rows, columns))
    for top in range(0, rows, STRIP_ROWS):
        below = min(top + STRIP_ROWS, rows)
        strip = slice(top, below + side - 1)
        values[top:below] = by(moments(x[strip], y[strip], blur))
    return values


def halve(plane: Plane) -> Plane:
    """Means of 2 x 2 pixels; an odd last row or column is averaged with itself."""
    means = cv2.boxFilter(plane, cv2.CV_64F, (2, 2), anchor=(0, 0), borderType=cv2.BORDER_REPLICATE)
    return np.ascontiguousarray(means[::2, ::2])


def viewing_step(shape: tuple[int, ...]) -> int:
    """By how much FSIM and VSI shrink a picture: its shorter side over 256, rounded half up."""
    return max(1, int(min(shape[:2]) / 256 + 0.5))


def shrink(plane: Plane, step: int) -> Plane:
    """Every ``step``-th mean of ``step`` x ``step`` pixels, as MATLAB's conv2 ("same") has them.

    Beyond the edge there are zeros, which darkens the border a little where ``step`` does not
    divide the side or is odd; the published scores have that.
    """
    if step == 1:
        return plane
    before = step - 1 - step // 2
    anchor = (before, before)
    means = cv2.boxFilter(
        plane, cv2.CV_64F, (step, step), anchor=anchor, borderType=cv2.BORDER_CONSTANT
    )
    return np.ascontiguousarray(means[::step, ::step])


def gradient(plane: Plane, kernel: Any) -> Plane:
    """Magnitude of the gradient by a 3 x 3 kernel and its transpose; zeros beyond the edge."""
    across = cv2.filter2D(plane, cv2.CV_64F, kernel, borderType=cv2.BORDER_CONSTANT)
    down = cv2.filter2D(plane, cv2.CV_64F, kernel.T, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(cv2.magnitude(across, down), np.float64)


def similarity(x: Plane, y: Plane, constant: float) -> Plane:
    """``(2 x y + c) / (x^2 + y^2 + c)``: 1 where both are the same, per pixel."""
    return (2.0 * x * y + constant) / (x * x + y * y + constant)
