"""Tails of the chi-square and normal distributions, far out, without SciPy.

Devices have no SciPy, and a false-alarm budget of one a month needs tails of 1e-9. For whole
degrees of freedom the tail is a finite sum of positive terms, so nothing cancels (Abramowitz and
Stegun, 1964, 26.4.4 and 26.4.5), and many are computed at once. Relative error against SciPy below
1e-9 (tested).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Reals = npt.NDArray[np.float64]
_erfc = np.frompyfunc(math.erfc, 1, 1)


def normal_tail(z: npt.ArrayLike) -> Reals:
    """P(Z > z) of a standard normal."""
    half: Reals = np.asarray(_erfc(np.asarray(z, np.float64) / math.sqrt(2.0)), np.float64) / 2.0
    return half


def chi2_tail(x: npt.ArrayLike, freedom: npt.ArrayLike) -> Reals:
    """P(X > x) of a chi-square with ``freedom`` degrees, whole and at least 1; 1 for x <= 0.

    Args:
        x: (...) values.
        freedom: the same shape, or one that broadcasts to it.
    """
    value, degrees = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(freedom, np.int64))
    half, odd = np.maximum(value, 0.0) / 2.0, degrees % 2
    tail = np.zeros(half.shape)
    at_odd = odd == 1
    tail[at_odd] = 2.0 * normal_tail(np.sqrt(2.0 * half[at_odd]))
    most = int(degrees.max(initial=1)) // 2
    if most:
        steps = np.arange(most)
        power = steps + odd[..., None] / 2.0
        with np.errstate(divide="ignore", invalid="ignore"):
            rise = np.where(power > 0, power * np.log(half)[..., None], 0.0)
        terms = np.exp(rise - _log_gamma(most)[odd] - half[..., None])
        tail += np.where(steps < (degrees // 2)[..., None], terms, 0.0).sum(-1)
    result: Reals = np.where(value > 0, np.minimum(tail, 1.0), 1.0)
    return result


@lru_cache(4)
def _log_gamma(terms: int) -> Reals:
    """(2, terms): ln Gamma(i + 1) and ln Gamma(i + 3/2)."""
    steps = np.arange(1.0, terms)
    rows = [
        np.concatenate(
            ([math.lgamma(1 + half)], math.lgamma(1 + half) + np.cumsum(np.log(steps + half)))
        )
        for half in (0.0, 0.5)
    ]
    return np.stack(rows)
