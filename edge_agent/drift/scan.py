"""What it costs to look again and again: windows of many lengths, ending at every block. Pure.

A statistic of a window that ends at this block is nearly the one that ended a block ago, so what
counts is how often it *begins* to exceed a value: that is what people are called for.
"""

from __future__ import annotations

import math

from edge_agent.drift.tails import chi2_tail, normal_tail

SCALES = (3, 4, 6, 8, 12, 16, 24, 32, 48)
"""Lengths of the windows in blocks; none is judged before the shortest is there."""


def price(x: float, freedom: int, *, skew: float = 0.0) -> float:
    """How often, per block, a statistic begins to be as large as x at any scale, by chance.

    For the sum over a moving window of L blocks, beginnings are P(X > x) times
    ``y^2 / 2 * nu(y)``, ``y = sqrt(2 x / L)``: the rate at which a Gaussian process whose
    correlation falls linearly crosses a level, corrected for discrete time (Siegmund, Sequential
    Analysis, 1985; nu as in Siegmund and Yakir, The Statistics of Gene Mapping, 2007, page 112).
    The scales are added up: an upper bound.

    Args:
        x: chi-square distributed.
        freedom: its degrees.
        skew: logarithm by which the tail is raised (`contrast.Measured`).
    """
    if x <= 0:
        return 1.0
    tail = chi2_tail(x, freedom)
    looks = sum(beginnings(math.sqrt(2.0 * x / scale)) for scale in SCALES)
    return min(1.0, tail * looks * math.exp(min(skew, 50.0)))


def beginnings(y: float) -> float:
    """``y^2 / 2 * nu(y)``: the share of exceedances that begin one; 1 for a window of one block."""
    half = y / 2.0
    below = 1.0 - normal_tail(half)
    density = math.exp(-half * half / 2.0) / math.sqrt(2.0 * math.pi)
    return min(1.0, y * (below - 0.5) / (half * below + density))


def critical(rate: float, freedom: int) -> float:
    """The least x whose `price` is at most ``rate``, to 1e-6, without skewness."""
    low, high = 0.0, 400.0
    while high - low > 1e-6:
        middle = (low + high) / 2.0
        if price(middle, freedom) > rate:
            low = middle
        else:
            high = middle
    return high
