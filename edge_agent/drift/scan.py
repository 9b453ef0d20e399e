"""What it costs to look again and again: windows of many lengths, ending at every block. Pure.

A statistic of a window that ends at this block is nearly the one that ended a block ago, so what
counts is how often it *begins* to exceed a value: that is what people are called for.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import numpy.typing as npt

from edge_agent.drift.tails import Reals, chi2_tail, normal_tail

SCALES = (3, 4, 6, 8, 12, 16, 24, 32, 48)
"""Lengths of the windows in blocks; none is judged before the shortest is there."""
OVERLAP = 0.75
"""Beginnings at any scale, over the sum of those at each: windows of many lengths hold the same
blocks. At most 0.68 in simulations of three million blocks (tests/edge_agent/drift)."""
_TO, _STEP = 400.0, 0.02


def price(x: npt.ArrayLike, freedom: npt.ArrayLike, *, skew: npt.ArrayLike = 0.0) -> Reals:
    """How often, per block, a statistic begins to be as large as x at any scale, by chance.

    For the sum over a moving window of L blocks, beginnings are P(X > x) times
    ``y^2 / 2 * nu(y)``, ``y = sqrt(2 x / L)``: the rate at which a Gaussian process whose
    correlation falls linearly crosses a level, corrected for discrete time (Siegmund, Sequential
    Analysis, 1985; nu as in Siegmund and Yakir, The Statistics of Gene Mapping, 2007, page 112).
    The scales are added up, which is an upper bound, times `OVERLAP`.

    Args:
        x: (...) chi-square distributed.
        freedom: its degrees.
        skew: logarithm by which the tail is raised (`contrast.Measured`).
    """
    value = np.asarray(x, np.float64)
    looks = np.interp(value, *_looks())
    raised = chi2_tail(value, freedom) * looks * np.exp(np.minimum(skew, 50.0))
    result: Reals = np.where(value > 0, np.minimum(1.0, raised), 1.0)
    return result


def beginnings(y: npt.ArrayLike) -> Reals:
    """``y^2 / 2 * nu(y)``: the share of exceedances that begin one; 1 for a window of one block."""
    half = np.asarray(y, np.float64) / 2.0
    below = 1.0 - normal_tail(half)
    density = np.exp(-half * half / 2.0) / math.sqrt(2.0 * math.pi)
    share: Reals = np.minimum(1.0, 2.0 * half * (below - 0.5) / (half * below + density))
    return share


@cache
def _looks() -> tuple[Reals, Reals]:
    """Values of a statistic, and what its tail is multiplied by there; made when first needed."""
    at = np.arange(0.0, _TO + _STEP, _STEP)
    looks = np.zeros_like(at)
    for scale in SCALES:
        looks += beginnings(np.sqrt(2.0 * at / scale))
    return at, OVERLAP * looks
