"""NQM: the signal to noise ratio that an eye would find."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from edge_agent.quality.plane import Picture, Plane, grey_pair
from edge_agent.quality.spectrum import Filter, filtered_real, frequencies, polar, transform

LEAST = 64  # holds the finest band, 32 cycles
_ANGLE = math.degrees(1 / 3.5)  # of a picture seen from 3.5 times its height
_BANDS = (2.0, 4.0, 8.0, 16.0, 32.0)  # cycles per picture


def nqm(reference: Picture, image: Picture) -> float:
    """Noise quality measure, in dB.

    N. Damera-Venkata, T. D. Kite, W. S. Geisler, B. L. Evans, A. C. Bovik: "Image quality
    assessment based on a degradation model", IEEE Transactions on Image Processing 9(4), 2000,
    section IV: Peli's contrast pyramid (E. Peli: "Contrast in complex images", JOSA A 7(10), 1990)
    of five bands of 2 to 32 cycles per picture, contrast masking, detection thresholds, and the
    signal to noise ratio of what is left, for a picture seen from 3.5 times its height. The paper
    takes the restored original as the reference; any reference will do. In dB, higher is better,
    infinite for the same (and where nothing that differs can be seen); around 30 and more is good.
    Not symmetric. Grey, from 64 x 64 pixels. Cost: 14 Fourier transforms at full size. Raises
    `SourceError`.
    """
    x, y = grey_pair(reference, image, least=LEAST)
    original, restored = _bands(x), _bands(y)
    below_x, below_y = original[0], restored[0]
    seen_x, seen_y = np.zeros(x.shape), np.zeros(x.shape)
    for band, cycles in enumerate(_BANDS, 1):
        of_x, of_y = original[band], restored[band]
        contrast_x, contrast_y = _ratio(of_x, below_x), _ratio(of_y, below_y)
        below_x, below_y = below_x + of_x, below_y + of_y
        of_y = np.where(_masked(contrast_x, contrast_y, band), of_x, of_y)
        threshold = contrast_threshold(cycles / _ANGLE)
        seen_x += np.where(np.abs(contrast_x) < threshold, 0.0, of_x)
        seen_y += np.where(np.abs(contrast_y) < threshold, 0.0, of_y)
    signal, noise = float((seen_x**2).sum()), float(((seen_x - seen_y) ** 2).sum())
    if noise == 0:
        return math.inf
    return 10.0 * math.log10(signal / noise) if signal > 0 else -math.inf


def contrast_threshold(cycles_per_degree: float) -> float:
    """The least contrast that is seen: 1 over 200 times the sensitivity of Mannos and Sakrison."""
    f = 0.114 * cycles_per_degree
    return 1.0 / (200.0 * 2.6 * (0.0192 + f) * math.exp(-(f**1.1)))


def _masked(contrast_x: Plane, contrast_y: Plane, band: int) -> Plane:
    """Where the difference of contrast hides behind the contrast itself.

    Bradley and Ohzawa's line ``t (0.86 (c / t - 1) + 0.3)``; the authors' program takes the band's
    number (1 to 5) for its frequency here.
    """
    threshold = contrast_threshold(band)
    limit = threshold * (0.86 * (contrast_x / threshold - 1.0) + 0.3)
    above = np.where(np.abs(contrast_y) > 1.0, 1.0, contrast_y)
    return np.asarray(np.abs(above - contrast_x) < limit)


def _ratio(band: Plane, below: Plane) -> Plane:
    """Peli's contrast: a band over all that is coarser; none where that is black."""
    return np.divide(band, below, out=np.zeros_like(band), where=below != 0)


def _bands(plane: Plane) -> list[Plane]:
    """The coarsest part and five bands, each (H, W)."""
    spectrum = transform(plane)
    return [
        filtered_real(spectrum, weights).astype(np.float64)
        for weights in _filters(plane.shape[0], plane.shape[1])
    ]


@lru_cache(maxsize=1)
def _filters(rows: int, columns: int) -> tuple[Filter, ...]:
    """Raised cosines over the logarithm of frequency; neighbours add up to 1."""
    radius, _ = polar(frequencies(rows), frequencies(columns))
    return (_cosine(radius + 2.0, 2.0), *(_cosine(radius, cycles) for cycles in _BANDS))


def _cosine(radius: Plane, centre: float) -> Filter:
    octaves = np.log2(np.maximum(radius, 1e-9) / centre)
    return np.where(np.abs(octaves) <= 1, 0.5 + 0.5 * np.cos(np.pi * octaves), 0.0).astype(
        np.float32
    )
