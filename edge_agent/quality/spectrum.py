"""Fourier transforms by OpenCV, and the polar coordinates in which the filters are defined.

Single precision is enough: filters are smooth, and what comes out is compared, not subtracted.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Spectrum = npt.NDArray[np.float32]  # (H, W, 2): real and imaginary parts
Filter = npt.NDArray[np.float32]  # (H, W) real, zero frequency at [0, 0]


def transform(plane: npt.NDArray[Any]) -> Spectrum:
    """The spectrum of a real plane."""
    flags = cv2.DFT_COMPLEX_OUTPUT
    return np.asarray(cv2.dft(plane.astype(np.float32), flags=flags), np.float32)


def filtered(spectrum: Spectrum, weights: Filter) -> Spectrum:
    """The complex response of a real filter: even part in [..., 0], odd part in [..., 1]."""
    flags = cv2.DFT_INVERSE | cv2.DFT_SCALE
    return np.asarray(cv2.dft(spectrum * weights[:, :, None], flags=flags), np.float32)


def filtered_real(spectrum: Spectrum, weights: Filter) -> npt.NDArray[np.float32]:
    """The response of a filter that is the same for a frequency and its opposite."""
    flags = cv2.DFT_INVERSE | cv2.DFT_SCALE | cv2.DFT_REAL_OUTPUT
    return np.asarray(cv2.dft(spectrum * weights[:, :, None], flags=flags), np.float32)


def frequencies(side: int) -> npt.NDArray[np.float64]:
    """Cycles per picture of each row of a spectrum, 0 first."""
    return np.asarray(np.fft.fftfreq(side, 1.0 / side), np.float64)


def polar(
    down: npt.NDArray[np.float64], across: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Radius and angle (counter-clockwise) of every pair of frequencies, (H, W) each."""
    y, x = down[:, None], across[None, :]
    return np.hypot(x, y), np.arctan2(-y, x)


def log_gabor(radius: npt.NDArray[np.float64], centre: float, spread: float) -> Filter:
    """``exp(-log(r / centre)^2 / (2 log(spread)^2))``, nothing at frequency 0.

    D. J. Field: "Relations between the statistics of natural images and the response properties of
    cortical cells", Journal of the Optical Society of America A 4(12), 1987.
    """
    safe = np.where(radius > 0, radius, 1.0)
    weights = np.exp(-(np.log(safe / centre) ** 2) / (2.0 * np.log(spread) ** 2))
    return np.where(radius > 0, weights, 0.0).astype(np.float32)


def direction(angle: npt.NDArray[np.float64], towards: float, deviation: float) -> Filter:
    """A Gaussian of the angular distance to ``towards`` (radians): one side of the plane only."""
    distance = np.abs(np.angle(np.exp(1j * (angle - towards))))
    return np.asarray(np.exp(-(distance**2) / (2.0 * deviation**2)), np.float32)
