"""VSI: similarity of what draws the eye."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from edge_agent.quality.colours import lab, linear_light, matrix
from edge_agent.quality.features import LEAST, SCHARR, chromatic, pool
from edge_agent.quality.plane import Picture, Plane, colour_pair, mix
from edge_agent.quality.spectrum import (
    Filter,
    filtered_real,
    frequencies,
    log_gabor,
    polar,
    transform,
)
from edge_agent.quality.windows import gradient, shrink, similarity, viewing_step

_SIDE = 256  # saliency is found on a picture of this size
_CENTRE, _BANDWIDTH = 0.021, 1.34
_NEAR, _WARM = 145.0, 0.001
_C1, _C2, _C3 = 1.27, 386.0, 130.0
_ALPHA, _BETA = 0.40, 0.02

# D65 sRGB primaries; the program scales them by the white of D50.
_XYZ_OF_RGB = np.array([
    [0.4124564, 0.3575761, 0.1804375],
    [0.2126729, 0.7151522, 0.0721750],
    [0.0193339, 0.1191920, 0.9503041],
])  # fmt: skip
_WHITE = np.array([0.9642, 1.0, 0.8251])
_EPSILON, _KAPPA = 0.008856, 903.3


def vsi(reference: Picture, image: Picture) -> float:
    """Visual saliency-induced index: saliency, gradient and colour, weighted by saliency.

    L. Zhang, Y. Shen, H. Li: "VSI: a visual saliency-induced index for perceptual image quality
    assessment", IEEE Transactions on Image Processing 23(10), 2014; with C1 =
    1.27, C2 = 386, C3 = 130, alpha = 0.40, beta = 0.02, saliency by `saliency`, all shrunk to a
    shorter side of about 256 pixels. 0..1, higher is better; in practice 0.8..1. BGR (a grey
    picture is one without colour), from 12 x 12 pixels. Cost: eight Fourier transforms of 256 x 256
    and the L*a*b* of as many pixels. Raises `SourceError`.
    """
    pair = colour_pair(reference, image, least=LEAST)
    step = viewing_step(reference.shape)
    seen1, seen2 = (shrink(saliency(p), step) for p in pair)
    slope1, slope2 = (gradient(shrink(mix(p, 0.06, 0.63, 0.27), step), SCHARR) for p in pair)
    m1, m2 = (shrink(mix(p, 0.30, 0.04, -0.35), step) for p in pair)
    n1, n2 = (shrink(mix(p, 0.34, -0.60, 0.17), step) for p in pair)
    colour = chromatic(similarity(m1, m2, _C3) * similarity(n1, n2, _C3), _BETA)
    values = similarity(seen1, seen2, _C1) * similarity(slope1, slope2, _C2) ** _ALPHA * colour
    return pool(values, np.maximum(seen1, seen2))


def saliency(picture: Plane) -> Plane:
    """What draws the eye in an (H, W, 3) BGR picture: 0..1 per pixel, 0 everywhere in a flat one.

    L. Zhang, Z. Gu, H. Li: "SDSP: a novel saliency detection method by combining simple priors",
    IEEE International Conference on Image Processing, 2013: band-passed L*a*b*, times a bias to the
    middle, times a bias to warm colours. Sizes are changed as by MATLAB's imresize ("bilinear").
    """
    values = _lab(np.ascontiguousarray(_resize(picture, _SIDE, _SIDE)))
    responses = [filtered_real(transform(values[..., c]), _band_pass()) for c in range(3)]
    frequent = np.sqrt(np.sum(np.square(responses), axis=0))
    near = np.arange(1, _SIDE + 1) - _SIDE / 2
    central = np.exp(-(near[:, None] ** 2 + near[None, :] ** 2) / _NEAR**2)
    warmth = _normal(values[..., 1]) ** 2 + _normal(values[..., 2]) ** 2
    found = frequent * central * (1.0 - np.exp(-warmth / _WARM**2))
    return _normal(_resize(found, picture.shape[0], picture.shape[1]))


def _lab(picture: Plane) -> Plane:
    xyz = matrix(linear_light(picture[..., ::-1]), _XYZ_OF_RGB)
    return lab(xyz, _WHITE, threshold=_EPSILON, slope=_KAPPA / 116.0)


def _normal(plane: Plane) -> Plane:
    """Stretched to 0..1; a flat plane becomes 0."""
    low, high = float(plane.min()), float(plane.max())
    return (plane - low) / (high - low) if high > low else np.zeros(plane.shape)


@lru_cache(maxsize=1)
def _band_pass() -> Filter:
    """The log-Gabor filter of SDSP; beyond half the sampling rate (the corners) it is silent."""
    axis = frequencies(_SIDE) / _SIDE
    radius, _ = polar(axis, axis)
    return log_gabor(np.where(radius <= 0.5, radius, 0.0), _CENTRE, math.exp(_BANDWIDTH))


def _resize(picture: Plane, rows: int, columns: int) -> Plane:
    """Bilinear, with the triangle widened where the picture shrinks (antialiasing)."""
    return _resize_rows(_resize_rows(picture, rows).swapaxes(0, 1), columns).swapaxes(0, 1)


def _resize_rows(picture: Plane, rows: int) -> Plane:
    if picture.shape[0] == rows:
        return picture
    taps, weights = _taps(picture.shape[0], rows)
    shape = (rows, *[1] * (picture.ndim - 1))
    total = np.zeros((rows, *picture.shape[1:]))
    for column in range(taps.shape[1]):
        total += weights[:, column].reshape(shape) * picture[taps[:, column]]
    return total


def _taps(source: int, target: int) -> tuple[npt.NDArray[np.int64], Plane]:
    """Per new row, the old rows that it is made of and their weights; edges are mirrored."""
    reach = max(1.0, source / target)
    centres = (np.arange(target) + 0.5) * source / target - 0.5
    rows = np.ceil(centres - reach).astype(np.int64)[:, None] + np.arange(int(2 * reach) + 1)
    weights = np.maximum(0.0, 1.0 - np.abs(rows - centres[:, None]) / reach)
    mirrored = np.mod(rows, 2 * source)
    mirrored = np.where(mirrored >= source, 2 * source - 1 - mirrored, mirrored)
    return mirrored, weights / weights.sum(1, keepdims=True)
