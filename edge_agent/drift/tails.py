"""Tails of the chi-square and normal distributions, far out, without SciPy.

Devices have no SciPy, and a false-alarm budget of one a month needs tails of 1e-9. The regularised
incomplete gamma function is that of Abramowitz and Stegun (1964): the series 6.5.29 below the mean,
the continued fraction 6.5.31 above it, evaluated by Lentz's method (Thompson and Barnett,
J. Comput. Phys. 64, 1986). Relative error against SciPy below 1e-10 (tested).
"""

from __future__ import annotations

import math

_STEPS = 1000
_EPSILON = 1e-15
_TINY = 1e-300


def normal_tail(z: float) -> float:
    """P(Z > z) of a standard normal."""
    return 0.5 * math.erfc(z / math.sqrt(2.0))


def normal_quantile(tail: float) -> float:
    """The z with P(Z > z) = ``tail``, 0 < tail < 1, by bisection to 1e-12."""
    low, high = -40.0, 40.0
    while high - low > 1e-12:
        middle = (low + high) / 2
        if normal_tail(middle) > tail:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def chi2_tail(x: float, freedom: int) -> float:
    """P(X > x) of a chi-square with ``freedom`` degrees; 1 for x <= 0."""
    if x <= 0:
        return 1.0
    shape, half = freedom / 2.0, x / 2.0
    weight = math.exp(shape * math.log(half) - half - math.lgamma(shape))
    if half < shape + 1.0:
        return max(0.0, 1.0 - weight * _series(shape, half))
    return weight * _fraction(shape, half)


def _series(shape: float, x: float) -> float:
    term = total = 1.0 / shape
    for step in range(1, _STEPS):
        term *= x / (shape + step)
        total += term
        if term < total * _EPSILON:
            break
    return total


def _fraction(shape: float, x: float) -> float:
    b = x + 1.0 - shape
    c, d = 1.0 / _TINY, 1.0 / b
    value = d
    for step in range(1, _STEPS):
        factor = -step * (step - shape)
        b += 2.0
        d = 1.0 / (factor * d + b or _TINY)
        c = b + factor / c or _TINY
        delta = c * d
        value *= delta
        if abs(delta - 1.0) < _EPSILON:
            break
    return value
