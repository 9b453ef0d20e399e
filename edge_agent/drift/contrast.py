"""Two-sample tests on counts: has a feature another distribution than in its baseline? Pure.

Each takes (k,) counts of independent samples over the same bins.

- `homogeneity`: Pearson's chi-square for two samples (Pearson 1911, Biometrika 8), over bins merged
  until each expects at least five of the smaller sample (Cochran 1954, Biometrics 10).
- `trend`: the standardised difference of mean scores (Cochran-Armitage): one degree of freedom, so
  the sharpest for a shift of an ordered feature.
- `share`: the largest standardised difference of one class's share, times the number of classes
  (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_agent.drift.tails import chi2_tail, normal_tail

Counts = npt.NDArray[Any]
LEAST_EXPECTED = 5.0


@dataclass(frozen=True)
class Outcome:
    """What one test says.

    Attributes:
        p: probability of so much or more difference when nothing changed.
        effect: how large the difference is: Cohen's w for `homogeneity`, standard deviations of the
            baseline for `trend`, Cohen's w of the one class for `share`; 0 when unknown.
    """

    p: float
    effect: float


NOTHING = Outcome(1.0, 0.0)


def merged(counts: Sequence[Counts], ordered: bool) -> list[npt.NDArray[np.float64]]:
    """The counts of both samples over bins that each expect `LEAST_EXPECTED` of the smaller one.

    Neighbouring bins of an ordered feature are joined; rare classes are put together.
    """
    first, second = (np.asarray(one, np.float64) for one in counts)
    pooled = first + second
    total = pooled.sum()
    if not total:
        return [first[:0], second[:0]]
    expected = pooled * (min(first.sum(), second.sum()) / total)
    groups = _neighbours(expected) if ordered else _rare_together(expected)
    return [np.bincount(groups, weights=one) for one in (first, second)]


def _neighbours(expected: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    groups = np.zeros(len(expected), np.intp)
    group, gathered = 0, 0.0
    for index, value in enumerate(expected.tolist()):
        groups[index] = group
        gathered += value
        if gathered >= LEAST_EXPECTED:
            group, gathered = group + 1, 0.0
    if gathered and group:  # what is left at the end belongs to the last full group
        groups[groups == group] = group - 1
    return groups


def _rare_together(expected: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    common = np.flatnonzero(expected >= LEAST_EXPECTED)
    groups = np.full(len(expected), len(common), np.intp)
    groups[common] = np.arange(len(common))
    rest = expected[groups == len(common)].sum()
    if len(common) and rest < LEAST_EXPECTED:
        groups[groups == len(common)] = len(common) - 1
    return groups


def homogeneity(baseline: Counts, window: Counts, *, ordered: bool) -> Outcome:
    """Any difference between the two distributions."""
    first, second = merged((baseline, window), ordered)
    n, m = float(first.sum()), float(second.sum())
    if len(first) < 2 or not n or not m:
        return NOTHING
    difference = math.sqrt(m / n) * first - math.sqrt(n / m) * second
    statistic = float((difference * difference / (first + second)).sum())
    freedom = len(first) - 1
    together = n * m / (n + m)
    effect = math.sqrt(max(0.0, statistic - freedom) / together)
    return Outcome(chi2_tail(statistic, freedom), effect)


def trend(baseline: Counts, window: Counts) -> Outcome:
    """A shift of an ordered feature, by the mean of mid-ranks of the pooled bins."""
    first, second = np.asarray(baseline, np.float64), np.asarray(window, np.float64)
    n, m = float(first.sum()), float(second.sum())
    pooled = first + second
    if min(n, m) < LEAST_EXPECTED:
        return NOTHING
    ranks = np.cumsum(pooled) - pooled / 2
    middle = float(ranks @ pooled) / (n + m)
    variance = float((ranks - middle) ** 2 @ pooled) / (n + m - 1)
    if variance <= 0:
        return NOTHING
    shift = float(ranks @ second) / m - float(ranks @ first) / n
    z = shift / math.sqrt(variance * (1 / n + 1 / m))
    return Outcome(min(1.0, 2 * normal_tail(abs(z))), abs(shift) / math.sqrt(variance))


def share(baseline: Counts, window: Counts) -> Outcome:
    """The class whose share changed most."""
    first, second = np.asarray(baseline, np.float64), np.asarray(window, np.float64)
    n, m = float(first.sum()), float(second.sum())
    if min(n, m) < LEAST_EXPECTED:
        return NOTHING
    pooled = (first + second) / (n + m)
    known = pooled * min(n, m) >= LEAST_EXPECTED
    known &= (1 - pooled) * min(n, m) >= LEAST_EXPECTED
    if not known.any():
        return NOTHING
    shift = np.abs(second / m - first / n)[known]
    spread = np.sqrt(pooled * (1 - pooled))[known]
    z = shift / (spread * math.sqrt(1 / n + 1 / m))
    best = int(z.argmax())
    p = 2 * normal_tail(float(z[best])) * int(known.sum())
    return Outcome(min(1.0, p), float(shift[best] / spread[best]))
