"""Feature similarity: FSIM and FSIMc."""

from __future__ import annotations

import numpy as np

from edge_agent.quality.phase import phase_congruency
from edge_agent.quality.plane import Picture, Plane, colour_pair, grey_pair, mix
from edge_agent.quality.windows import gradient, shrink, similarity, viewing_step

SCHARR = np.array([[3.0, 0.0, -3.0], [10.0, 0.0, -10.0], [3.0, 0.0, -3.0]]) / 16.0
_T1, _T2, _T3, _T4 = 0.85, 160.0, 200.0, 200.0
_LAMBDA = 0.03
LEAST = 12  # two of the shortest waves


def fsim(reference: Picture, image: Picture) -> float:
    """Feature similarity: phase congruency and gradient, weighted by phase congruency.

    L. Zhang, L. Zhang, X. Mou, D. Zhang: "FSIM: a feature similarity index for image quality
    assessment", IEEE Transactions on Image Processing 20(8), 2011; with T1 = 0.85, T2 = 160, Scharr
    gradients and alpha = beta = 1, on the picture shrunk to about 256 pixels on its shorter side.
    0..1, higher is better. Grey, from 12 x 12 pixels. Cost: 34 Fourier transforms of the shrunk
    picture. Raises `SourceError`.
    """
    x, y = grey_pair(reference, image, least=LEAST)
    step = viewing_step(x.shape)
    values, weights = _similar(shrink(x, step), shrink(y, step))
    return pool(values, weights)


def fsimc(reference: Picture, image: Picture) -> float:
    """FSIM that sees colour too.

    Zhang et al. 2011 as `fsim`, on the luminance Y of YIQ; with T3 = T4 = 200 and
    lambda = 0.03. 0..1, higher is better. BGR (grey pictures have no colour to lose), from 12 x 12
    pixels. Cost: as `fsim`, and four planes more. Raises `SourceError`.
    """
    pair = colour_pair(reference, image, least=LEAST)
    step = viewing_step(reference.shape)
    lumas = [shrink(mix(p, 0.299, 0.587, 0.114), step) for p in pair]
    i1, i2 = (shrink(mix(p, 0.596, -0.274, -0.322), step) for p in pair)
    q1, q2 = (shrink(mix(p, 0.211, -0.523, 0.312), step) for p in pair)
    colour = chromatic(similarity(i1, i2, _T3) * similarity(q1, q2, _T4), _LAMBDA)
    values, weights = _similar(*lumas)
    return pool(values * colour, weights)


def chromatic(product: Plane, exponent: float) -> Plane:
    """``product ** exponent``; of opposite colours (negative) the real part of the power."""
    turned = np.where(product < 0, np.cos(np.pi * exponent), 1.0)
    return np.abs(product) ** exponent * turned


def _similar(x: Plane, y: Plane) -> tuple[Plane, Plane]:
    first, second = phase_congruency(x), phase_congruency(y)
    slopes = similarity(gradient(x, SCHARR), gradient(y, SCHARR), _T2)
    return slopes * similarity(first, second, _T1), np.maximum(first, second)


def pool(values: Plane, weights: Plane) -> float:
    """The weighted mean; the plain one where there is no weight at all (flat pictures)."""
    total = float(weights.sum())
    return float((values * weights).sum() / total) if total > 0 else float(values.mean())
