"""MAD: most apparent distortion, and its two halves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from edge_agent.quality.plane import Picture, Plane, grey_pair
from edge_agent.quality.spectrum import (
    Filter,
    direction,
    filtered,
    filtered_real,
    frequencies,
    log_gabor,
    polar,
    transform,
)

LEAST = 3 * 16 + 2  # the border of 16 on each side does not count
_BLOCK, _STEP = 16, 4
_CELLS = _BLOCK // _STEP

_LIGHT, _GAMMA = 0.02874, 2.2 / 3
_DARK = 0.5  # mean luminance below which nothing is seen
_CONTRAST = -5.0  # ln of the contrast at which masking begins, and of the least one seen
_SCALE = 200.0
_CYCLES = 32.0  # per degree, at half the sampling rate

_WAVES, _DIRECTIONS, _SPREAD = (3.0, 9.0, 27.0, 81.0, 243.0), 4, 0.55
_DEVIATION = math.pi / _DIRECTIONS / 1.5
_WAVE_WEIGHTS = tuple(weight / 13.25 for weight in (0.5, 0.75, 1.0, 5.0, 6.0))
_THRESHOLDS = (2.55, 3.35)


@dataclass(frozen=True)
class Apparent:
    """MAD and its halves.

    Attributes:
        detection: visibility of near-threshold distortions, from 0; the paper's times 200.
        appearance: change of the statistics of log-Gabor responses, from 0.
        mad: both blended.
    """

    detection: float
    appearance: float
    mad: float


def mad(reference: Picture, image: Picture) -> float:
    """Most apparent distortion: what is barely visible is looked for, what is obvious is judged.

    E. C. Larson, D. M. Chandler: "Most apparent distortion: full-reference image quality assessment
    and the role of strategy", Journal of Electronic Imaging 19(1), 011006, 2010; in the parameters
    of the authors' program of 2011. From 0, **lower is better**, 0 for the same; 60 and more is
    badly spoilt. Grey, from 50 x 50 pixels; made for pictures of about 512 x 512 seen at 32 cycles
    per degree. Cost: 44 Fourier transforms at full size; the dearest here. Raises `SourceError`.
    """
    return apparent(reference, image).mad


def apparent(reference: Picture, image: Picture) -> Apparent:
    """MAD with its two halves (see `mad`)."""
    x, y = grey_pair(reference, image, least=LEAST)
    seen, changed = _detection(x, y), _appearance(x, y)
    first, second = _THRESHOLDS
    alpha = 1.0 / (1.0 + math.exp(-first / second) * seen ** (1.0 / (math.log(10) * second)))
    return Apparent(seen, changed, seen**alpha * changed ** (1.0 - alpha))


def _detection(x: Plane, y: Plane) -> float:
    """Local error, weighted by how far its contrast is above what the picture masks."""
    weights = _eye(x.shape[0], x.shape[1])
    first, second = (
        filtered_real(transform(_LIGHT * np.maximum(p, 0.0) ** _GAMMA), weights).astype(np.float64)
        for p in (x, y)
    )
    mean, _ = _block_moments(first)
    _, error = _block_moments(second - first)
    with np.errstate(divide="ignore", invalid="ignore"):
        masking, contrast = np.log(_quiet(first) / mean), np.log(error / mean)
    contrast[mean < _DARK] = -np.inf
    visible = contrast - np.maximum(masking, _CONTRAST)
    visible = np.where(np.isfinite(visible) & (visible > 0), visible, 0.0)
    return _SCALE * _pool(_spread(visible, x.shape) * _local_error(x, y))


def _appearance(x: Plane, y: Plane) -> float:
    """Differences of deviation, skewness and kurtosis of log-Gabor amplitudes, per block."""
    first, second = transform(x), transform(y)
    total: Plane | float = 0.0
    radial, angular = _bank(x.shape[0], x.shape[1])
    for weight, wave in zip(_WAVE_WEIGHTS, radial, strict=True):
        for towards in angular:
            one, other = (_statistics(s, wave * towards) for s in (first, second))
            difference = np.abs(one - other)
            total = total + weight * (difference[0] + 2.0 * difference[1] + difference[2])
    return _pool(_spread(np.asarray(total), x.shape))


def _pool(values: Plane) -> float:
    """Root mean square without a border of 16 (17 below and on the right, as in the program)."""
    inner = values[_BLOCK : -_BLOCK - 1, _BLOCK : -_BLOCK - 1]
    return float(np.sqrt(np.mean(inner**2)))


def _local_error(x: Plane, y: Plane) -> Plane:
    """Mean square error in a window of 16 x 16 about each pixel; edges are mirrored."""
    square = (x - y) ** 2
    anchor = (_BLOCK // 2 - 1, _BLOCK // 2 - 1)
    means = cv2.boxFilter(
        square, cv2.CV_64F, (_BLOCK, _BLOCK), anchor=anchor, borderType=cv2.BORDER_REFLECT
    )
    return np.asarray(means, np.float64)


def _spread(blocks: Plane, shape: tuple[int, ...]) -> Plane:
    """A number per block, every 4 pixels, as a plane: each fills the 4 x 4 at its block's start."""
    full = np.zeros(shape)
    wide = np.repeat(np.repeat(blocks, _STEP, 0), _STEP, 1)[: shape[0], : shape[1]]
    full[: wide.shape[0], : wide.shape[1]] = wide
    return full


def _cells(plane: Plane) -> Plane:
    """Sums over cells of 4 x 4; what does not fill a cell at the end is dropped."""
    rows, columns = plane.shape[0] // _STEP, plane.shape[1] // _STEP
    whole = plane[: rows * _STEP, : columns * _STEP]
    means = cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(means, np.float64) * _STEP**2


def _block_sums(plane: Plane, cells: int = _CELLS) -> Plane:
    """Sums over blocks of ``4 cells`` pixels, one every 4 pixels."""
    sums = _cells(plane)
    added = cv2.boxFilter(sums, cv2.CV_64F, (cells, cells), anchor=(0, 0), normalize=False)
    return np.asarray(added[: sums.shape[0] - cells + 1, : sums.shape[1] - cells + 1], np.float64)


def _block_moments(plane: Plane, cells: int = _CELLS) -> tuple[Plane, Plane]:
    """Mean and (sample) standard deviation of each block."""
    count = (cells * _STEP) ** 2
    mean = _block_sums(plane, cells) / count
    square = _block_sums(plane * plane, cells) - count * mean * mean
    return mean, np.sqrt(np.maximum(square, 0.0) / (count - 1))


def _quiet(plane: Plane) -> Plane:
    """The least deviation of the 8 x 8 windows at each block's start and 4 pixels on.

    The paper says the four quarters of the block; the program compares these, and leaves out those
    that begin less than 17 pixels before the end. So do we.
    """
    _, windows = _block_moments(plane, _CELLS // 2)
    rows, columns = ((side - _BLOCK) // _STEP + 1 for side in plane.shape)
    reach_y, reach_x = ((side - _BLOCK - 1) // _STEP + 1 for side in plane.shape)
    reached = np.full((rows + 1, columns + 1), np.inf)
    reached[:reach_y, :reach_x] = windows[:reach_y, :reach_x]
    shifted = [reached[dy : dy + rows, dx : dx + columns] for dy, dx in ((0, 1), (1, 0), (1, 1))]
    return np.asarray(np.min([windows[:rows, :columns], *shifted], axis=0))


def _statistics(spectrum: npt.NDArray[np.float32], weights: Filter) -> Plane:
    """Deviation, skewness and kurtosis of a response's amplitude per block, (3, h, w)."""
    response = filtered(spectrum, weights)
    amplitude = cv2.magnitude(response[:, :, 0], response[:, :, 1])
    # Central moments from plain ones lose digits; around the overall mean they lose few.
    centred = amplitude.astype(np.float64) - float(amplitude.mean())
    count = _BLOCK**2
    square = centred * centred
    m1, m2, m3, m4 = (
        _block_sums(power) / count for power in (centred, square, square * centred, square * square)
    )
    variance = np.maximum(m2 - m1**2, 0.0)
    third = m3 - 3 * m1 * m2 + 2 * m1**3
    fourth = m4 - 4 * m1 * m3 + 6 * m1**2 * m2 - 3 * m1**4
    safe = np.where(variance > 0, variance, 1.0)
    skewness = np.where(variance > 0, third / safe**1.5, 0.0)
    kurtosis = np.where(variance > 0, fourth / safe**2, 0.0)
    return np.stack([np.sqrt(variance * count / (count - 1)), skewness, kurtosis])


@lru_cache(maxsize=1)
def _eye(rows: int, columns: int) -> Filter:
    """Contrast sensitivity (Mannos and Sakrison 1974, with Daly's oblique effect).

    The program takes frequencies half a line off centre and scales both axes by the width.
    """
    down, across = ((np.arange(n) - n / 2 + 0.5) / columns * 2 * _CYCLES for n in (rows, columns))
    radius, angle = polar(down, across)
    radius = radius / (0.15 * np.cos(4 * angle) + 0.85)
    weights = 2.6 * (0.0192 + 0.114 * radius) * np.exp(-((0.114 * radius) ** 1.1))
    weights[radius < 7.8909] = 0.9809
    weights = np.fft.ifftshift(weights)
    # Half a line off centre the response is complex; this is what its real part amounts to.
    opposite = np.roll(weights[::-1, ::-1], 1, (0, 1))
    return ((weights + opposite) / 2).astype(np.float32)


@lru_cache(maxsize=1)
def _bank(rows: int, columns: int) -> tuple[tuple[Filter, ...], tuple[Filter, ...]]:
    radius, angle = polar(2 * frequencies(rows) / rows, 2 * frequencies(columns) / columns)
    radial = tuple(log_gabor(radius, 2.0 / wave, _SPREAD) for wave in _WAVES)
    return radial, tuple(
        direction(angle, o * math.pi / _DIRECTIONS, _DEVIATION) for o in range(_DIRECTIONS)
    )
