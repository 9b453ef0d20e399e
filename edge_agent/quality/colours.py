"""From BGR levels to CIE XYZ and L*a*b*.

sRGB by IEC 61966-2-1; L*a*b* by CIE 15 with the thresholds that the metrics' programs use.
"""

from __future__ import annotations

import cv2
import numpy as np

from edge_agent.quality.plane import PEAK, Plane


def linear_light(picture: Plane, knee: float = 0.04045) -> Plane:
    """(H, W, 3) levels 0..255 of sRGB to linear light 0..1, the channels as they come."""
    value = picture / PEAK
    return np.where(value <= knee, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def matrix(picture: Plane, rows: Plane) -> Plane:
    """Each pixel (a vector of three) multiplied by a 3 x 3 matrix."""
    return np.asarray(cv2.transform(picture, rows), np.float64)


def lab(xyz: Plane, white: Plane, *, threshold: float, slope: float) -> Plane:
    """L*, a*, b* per pixel; below ``threshold`` the cube root gives way to a line of ``slope``."""
    ratio = xyz / white
    line = slope * ratio + 16.0 / 116.0
    f = np.where(ratio > threshold, np.cbrt(ratio), line)
    return np.stack(
        [
            116.0 * f[..., 1] - 16.0,
            500.0 * (f[..., 0] - f[..., 1]),
            200.0 * (f[..., 1] - f[..., 2]),
        ],
        axis=-1,
    )
