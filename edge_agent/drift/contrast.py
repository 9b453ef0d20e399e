"""Two-sample statistics on counts: has a feature another distribution than its baseline? Pure.

Each takes (..., k) counts of independent samples over the same bins and works along the last axis,
so a benchmark runs months through the lines that a device runs once a block.

Pearson's chi-square is left aside on purpose: a budget of one alarm a month needs tails of 1e-6,
and there it errs by a factor of 30 where a bin expects six samples. The likelihood ratio keeps its
tail (Sanov's theorem: a large deviation costs exp(-G/2)); the rank test is corrected for skewness.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[Any]
Reals = npt.NDArray[np.float64]
LEAST_EXPECTED = 5.0
"""Samples below which a side, or a class, says nothing."""


class Measured(NamedTuple):
    """One statistic, per leading index.

    Attributes:
        x: chi-square distributed when nothing changed.
        skew: logarithm by which skewness raises the tail beyond x; 0 where it does not.
        effect: size of the difference, in the unit that the function names.
    """

    x: Reals
    skew: Reals
    effect: Reals


def likelihood_ratio(
    first: Counts, second: Counts, freedom: npt.NDArray[np.int64] | None = None
) -> Measured:
    """Any difference between two distributions: G with g - 1 degrees of freedom.

    With the correction of Williams (Biometrika 63, 1976). The effect is Cohen's w, without the
    part that chance gives.

    Args:
        first: (..., k) counts.
        second: the same shape.
        freedom: (...) degrees, where some of the k bins are only there to fill the array.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    n, m = a.sum(-1), b.sum(-1)
    pooled, total = a + b, n + m
    freedom = np.asarray(a.shape[-1] - 1) if freedom is None else freedom
    with np.errstate(divide="ignore", invalid="ignore"):
        share = pooled / total[..., None]
        terms = _xlogy(a, a / (share * n[..., None])) + _xlogy(b, b / (share * m[..., None]))
        margins = np.where(pooled > 0, 1.0 / np.maximum(pooled, 1.0), 0.0).sum(-1)
        excess = (total / n + total / m - 1.0) * (total * margins - 1.0)
        x = 2.0 * terms.sum(-1) / (1.0 + excess / (6.0 * total * np.maximum(1, freedom)))
        effect = np.sqrt(np.maximum(0.0, x - freedom) * total / (n * m))
    known = (np.minimum(n, m) >= LEAST_EXPECTED) & (freedom > 0)
    return Measured(_known(x, known), np.zeros_like(n), _known(effect, known))


def trends(first: Counts, second: Counts, starts: npt.NDArray[np.intp]) -> Measured:
    """Shifts of ordered features: the rank-sum test over bins (Wilcoxon), one degree of freedom.

    Its tail is that of Cramér's theorem (Petrov, Sums of Independent Random Variables, 1975,
    chapter VIII): normal, times exp(skewness * z^3 / 6). The effect is the shift in standard
    deviations of the ranks; its sign says where to.

    Args:
        first: (..., size) counts, the features' bins one behind the other.
        second: the same shape.
        starts: (features,) first bin of each.

    Returns:
        (..., features) each.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    widths = np.diff(np.append(starts, a.shape[-1]))

    def summed(values: Reals) -> Reals:
        sums: Reals = np.add.reduceat(values, starts, axis=-1)
        return sums

    n, m, pooled = summed(a), summed(b), a + b
    total = n + m
    ranks = np.cumsum(pooled, -1) - pooled / 2.0
    with np.errstate(divide="ignore", invalid="ignore"):
        ranks -= np.repeat(summed(ranks * pooled) / total, widths, axis=-1)
        ranks /= np.repeat(total, widths, axis=-1)
        weighed = ranks * pooled
        first_sum = summed(ranks * a)
        weighed *= ranks
        variance = summed(weighed) / (total - 1.0)
        weighed *= ranks
        third = summed(weighed) / total / variance**1.5
        shift = summed(ranks * b) / m - first_sum / n
        z = shift / np.sqrt(variance * (1.0 / n + 1.0 / m))
        third *= (1.0 / m**2 - 1.0 / n**2) / (1.0 / m + 1.0 / n) ** 1.5
        effect = shift / np.sqrt(variance)
    known = (np.minimum(n, m) >= LEAST_EXPECTED) & (variance > 0)
    skew = np.maximum(0.0, third * z**3 / 6.0)
    return Measured(_known(z * z, known), _known(skew, known), _known(effect, known))


def largest_share(first: Counts, second: Counts) -> Measured:
    """The class whose share changed most: the largest G of one class against the rest.

    One degree of freedom; the caller pays for as many looks as there are classes. The effect is the
    relative change of the share, seen from the larger one.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    n, m = a.sum(-1, keepdims=True), b.sum(-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (a + b) / (n + m)
        terms = _xlogy(a, a / (share * n)) + _xlogy(b, b / (share * m))
        terms += _xlogy(n - a, (n - a) / ((1 - share) * n))
        terms += _xlogy(m - b, (m - b) / ((1 - share) * m))
        change = np.abs(b / m - a / n) / np.maximum(b / m, a / n)
        fewest = np.minimum(n, m) * np.minimum(share, 1 - share)
    x = np.where(fewest >= LEAST_EXPECTED, 2.0 * terms, 0.0)
    best = x.argmax(-1)[..., None]
    known = np.minimum(n, m)[..., 0] >= LEAST_EXPECTED
    largest, effect = (np.take_along_axis(one, best, -1)[..., 0] for one in (x, change))
    return Measured(_known(largest, known), np.zeros_like(largest), _known(effect, known))


def _xlogy(x: Reals, ratio: Reals) -> Reals:
    """``x * ln(ratio)``, 0 where x is 0."""
    logarithm = np.log(np.where(x > 0, ratio, 1.0))
    return x * logarithm


def _known(values: Reals, known: npt.NDArray[np.bool_]) -> Reals:
    return np.where(known & np.isfinite(values), values, 0.0)
