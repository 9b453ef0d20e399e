"""Slow drift: cumulative sums of what each block's mean is above or below its baseline. Pure."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Reals = npt.NDArray[np.float64]
ALLOWANCE = 0.5
"""Of a block's standard deviations: half the shift of 0.1 sigma that 100 samples make one."""
MOST = 60.0
"""At which a sum stops growing, so that it comes down when a long drift is over."""
_OVERSHOOT = 1.166
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(31)


def step(sums: Reals, z: Reals) -> Reals:
    """One block further: ``max(0, s + z - k)`` upwards and ``max(0, s - z - k)`` downwards.

    Args:
        sums: (2, ...) sums before, upwards and downwards.
        z: (...) standardised means of the block.
    """
    moved = np.stack([sums[0] + z - ALLOWANCE, sums[1] - z - ALLOWANCE])
    sums = np.clip(moved, 0.0, MOST)
    return sums


def rate(limit: npt.ArrayLike, spread: npt.ArrayLike) -> Reals:
    """How often per block one of the two sums begins to be above ``limit``, by chance.

    Siegmund's approximation of the average run length, (exp(2kb) - 2kb - 1) / (2k^2) with
    b = limit + 1.166 (Sequential Analysis, 1985, equation 2.54), averaged over what the baseline's
    own mean may be off.

    Args:
        limit: h, in standard deviations of a block's mean; (...).
        spread: standard deviation of the baseline's mean, in the same unit; broadcasts to it.
    """
    b = np.asarray(limit, np.float64)[..., None] + _OVERSHOOT
    k = ALLOWANCE - np.asarray(spread, np.float64)[..., None] * _NODES
    kb = 2.0 * k * b
    with np.errstate(divide="ignore", invalid="ignore"):
        run = (np.expm1(np.minimum(kb, 700.0)) - kb) / (2.0 * k * k)
    run = np.where(np.abs(k) * b < 1e-3, b * b, run)
    both: Reals = 2.0 / math.sqrt(2.0 * math.pi) * (_WEIGHTS / np.maximum(run, 1.0)).sum(-1)
    return both
