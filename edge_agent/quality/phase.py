"""Phase congruency: where the waves of a picture meet in step, whatever the contrast.

P. Kovesi: "Image features from phase congruency", Videre 1(3), 1999, the second measure with noise
compensation, in the parameters that FSIM takes (Zhang et al. 2011): 4 scales from a wavelength of
6 pixels by factors of 2, 4 directions, bandwidth 0.55, directional spread pi / 4 / 1.2, noise
threshold 2 deviations above the mean, divided by 1.7.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge_agent.quality.plane import Plane
from edge_agent.quality.spectrum import (
    Filter,
    direction,
    filtered,
    frequencies,
    log_gabor,
    polar,
    transform,
)

_SCALES, _DIRECTIONS = 4, 4
_SHORTEST, _FACTOR = 6.0, 2.0
_SPREAD = 0.55
_DEVIATION = math.pi / _DIRECTIONS / 1.2
_NOISE_DEVIATIONS, _NOISE_SCALE = 2.0, 1.7
_CUTOFF, _ORDER = 0.45, 15
_EPSILON = 1e-4


@dataclass(frozen=True)
class _Bank:
    """Filters per direction and scale, and what white noise would bring through each direction."""

    filters: tuple[tuple[Filter, ...], ...]
    noise: tuple[tuple[float, float], ...]


def phase_congruency(plane: Plane) -> Plane:
    """Phase congruency of an (H, W) plane, 0..1 per pixel; 0 where there is no structure at all."""
    spectrum = transform(plane)
    bank = _bank(plane.shape[0], plane.shape[1])
    energy, amplitude = np.zeros(plane.shape), np.zeros(plane.shape)
    for filters, noise in zip(bank.filters, bank.noise, strict=True):
        towards, total = _one_direction([filtered(spectrum, f) for f in filters], noise)
        energy += towards
        amplitude += total
    return np.divide(energy, amplitude, out=np.zeros_like(energy), where=amplitude > 0)


def _one_direction(
    responses: list[npt.NDArray[np.float32]], noise: tuple[float, float]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Energy above the noise, and the sum of amplitudes, of the scales of one direction."""
    amplitudes = [np.asarray(cv2.magnitude(r[:, :, 0], r[:, :, 1])) for r in responses]
    together = np.sum(responses, axis=0)
    length = cv2.magnitude(together[:, :, 0], together[:, :, 1]) + np.float32(_EPSILON)
    even, odd = together[:, :, 0] / length, together[:, :, 1] / length
    energy = np.zeros_like(length)
    for response in responses:
        e, o = response[:, :, 0], response[:, :, 1]
        energy += e * even + o * odd - np.abs(e * odd - o * even)
    threshold = _noise_threshold(amplitudes[0], noise)
    return np.maximum(energy - np.float32(threshold), 0), np.sum(amplitudes, axis=0)


def _noise_threshold(finest: npt.NDArray[Any], noise: tuple[float, float]) -> float:
    """The energy that noise alone would reach: Rayleigh statistics of the finest scale."""
    filter_power, gain = noise
    power = float(np.median(finest * finest)) / math.log(2.0) / filter_power
    tau = math.sqrt(power * gain)
    mean, deviation = tau * math.sqrt(math.pi / 2), tau * math.sqrt(2 - math.pi / 2)
    return (mean + _NOISE_DEVIATIONS * deviation) / _NOISE_SCALE


def _axis(side: int) -> npt.NDArray[np.float64]:
    """Frequencies up to 0.5; of an odd side stretched so that the last one is 0.5 as well."""
    return frequencies(side) / (side - 1 if side % 2 else side)


@lru_cache(maxsize=1)
def _bank(rows: int, columns: int) -> _Bank:
    """The filters for one size; pictures of one size come in rows."""
    radius, angle = polar(_axis(rows), _axis(columns))
    low_pass = 1.0 / (1.0 + (radius / _CUTOFF) ** (2 * _ORDER))
    radial = [
        log_gabor(radius, 1.0 / (_SHORTEST * _FACTOR**scale), _SPREAD) * low_pass
        for scale in range(_SCALES)
    ]
    angular = [direction(angle, o * math.pi / _DIRECTIONS, _DEVIATION) for o in range(_DIRECTIONS)]
    filters = tuple(tuple((r * a).astype(np.float32) for r in radial) for a in angular)
    return _Bank(filters, tuple(_noise(of_direction) for of_direction in filters))


def _noise(filters: tuple[Filter, ...]) -> tuple[float, float]:
    """Power of the finest filter, and by how much noise of power 1 adds up over the scales.

    The estimate of Kovesi's program: the squares of the filters' (real) impulse responses plus
    twice their products, which is the square of their sum.
    """
    size = filters[0].size
    impulses = [np.fft.ifft2(f).real * math.sqrt(size) for f in filters]
    return float((filters[0].astype(np.float64) ** 2).sum()), float(
        (np.sum(impulses, 0) ** 2).sum()
    )
