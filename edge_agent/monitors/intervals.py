"""Confidence intervals of shares that were counted, and of their differences."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist


@dataclass(frozen=True)
class Interval:
    """From ``low`` to ``high``."""

    low: float
    high: float


def two_sided_z(confidence: float) -> float:
    """The standard normal quantile of a two-sided interval, 1.96 for 0.95."""
    return NormalDist().inv_cdf(0.5 + confidence / 2)


Z95 = two_sided_z(0.95)


def wilson(share: float, count: float, z: float = Z95) -> Interval:
    """Wilson's score interval of a share (JASA 22, 1927).

    Args:
        share: 0..1.
        count: independent looks, above 0; not whole where looks were corrected for correlation.
        z: standard normal quantile.
    """
    middle = share + z * z / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    whole = 1 + z * z / count
    return Interval(max(0.0, (middle - spread) / whole), min(1.0, (middle + spread) / whole))


def newcombe(first: tuple[float, float], second: tuple[float, float], z: float = Z95) -> Interval:
    """The interval of ``first - second``, each a share and its count.

    Newcombe's hybrid score interval (Statistics in Medicine 17, 1998, method 10).
    """
    (p, n), (q, m) = first, second
    a, b = wilson(p, n, z), wilson(q, m, z)
    low = math.hypot(p - a.low, b.high - q)
    high = math.hypot(a.high - p, q - b.low)
    return Interval(p - q - low, p - q + high)
