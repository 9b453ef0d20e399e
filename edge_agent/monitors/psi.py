"""How far two histograms over the same bins are apart.

Counts are smoothed by half a count per bin (Jeffreys' prior) before they become shares, so an empty
bin costs something finite, and less the more was counted.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Shares = npt.NDArray[np.float64]
PSEUDO_COUNT = 0.5


def shares(counts: npt.ArrayLike) -> Shares:
    """Smoothed shares of counts, summing to 1.

    Raises:
        ValueError: no bin, or a negative count.
    """
    values = np.asarray(counts, np.float64)
    if values.ndim != 1 or not values.size or values.min() < 0:
        raise ValueError("counts should be a list of non-negative numbers")
    smoothed: Shares = (values + PSEUDO_COUNT) / (values.sum() + PSEUDO_COUNT * values.size)
    return smoothed


def psi(reference: npt.ArrayLike, actual: npt.ArrayLike) -> float | None:
    """Population stability index: ``sum((a - r) * ln(a / r))`` over the bins' shares.

    It is Jeffreys' divergence of the two distributions (Kullback and Leibler 1951; as PSI in credit
    scoring, Siddiqi 2006). Under "nothing changed" it is about ``(1/n + 1/m) * chi2(bins - 1)``.

    Returns:
        0 for equal shares, without an upper bound; None when either side counted nothing.
    """
    pair = _pair(reference, actual)
    if pair is None:
        return None
    first, second = pair
    return float(np.sum((second - first) * np.log(second / first)))


def jensen_shannon(reference: npt.ArrayLike, actual: npt.ArrayLike) -> float | None:
    """Jensen-Shannon divergence in bits, 0..1 (Lin 1991); None when either side is empty."""
    pair = _pair(reference, actual)
    if pair is None:
        return None
    middle = (pair[0] + pair[1]) / 2
    return float(sum(np.sum(side * np.log2(side / middle)) for side in pair) / 2)


def _pair(reference: npt.ArrayLike, actual: npt.ArrayLike) -> tuple[Shares, Shares] | None:
    first, second = np.asarray(reference), np.asarray(actual)
    if first.shape != second.shape:
        raise ValueError(f"{first.size} bins cannot be compared with {second.size}")
    if first.sum() == 0 or second.sum() == 0:
        return None
    return shares(first), shares(second)
