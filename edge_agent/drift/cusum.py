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


def rate(limit: float, spread: float) -> float:
    """How often per block one of the two sums begins to be above ``limit``, by chance.

    Siegmund's approximation of the average run length, (exp(2kb) - 2kb - 1) / (2k^2) with
    b = limit + 1.166 (Sequential Analysis, 1985, equation 2.54), averaged over what the baseline's
    own mean may be off.

    Args:
        limit: h, in standard deviations of a block's mean.
        spread: standard deviation of the baseline's mean, in the same unit.
    """
    b = limit + _OVERSHOOT
    total = 0.0
    for node, weight in zip(_NODES.tolist(), _WEIGHTS.tolist(), strict=True):
        k = ALLOWANCE - spread * node
        run = b * b if abs(k) * b < 1e-3 else (_expm1(2 * k * b) - 2 * k * b) / (2 * k * k)
        total += weight / max(run, 1.0)
    return 2.0 * total / math.sqrt(2.0 * math.pi)


def _expm1(x: float) -> float:
    return math.expm1(min(x, 700.0))


def limit_for(wanted: float, spread: float) -> float:
    """The limit whose `rate` is ``wanted``, to 1e-6."""
    low, high = 0.0, 200.0
    while high - low > 1e-6:
        middle = (low + high) / 2.0
        if rate(middle, spread) > wanted:
            low = middle
        else:
            high = middle
    return high
