"""How far two histograms over the same bins are apart, beside PSI: reported, never an alarm. Pure.

The bins are those of the counts, so these are the distances of the binned distributions: equal to
scipy.stats on values that stand at the bins' numbers.
"""

from __future__ import annotations

import numpy as np

from edge_agent.drift.baseline import Baseline, Ints
from edge_agent.drift.contrast import Counts, Reals
from edge_agent.drift.layout import Feature
from edge_agent.monitors.psi import jensen_shannon, psi


def kolmogorov_smirnov(first: Counts, second: Counts) -> float | None:
    """Largest difference of the two cumulative shares, 0..1; None when either side is empty."""
    pair = _cumulative(first, second)
    return None if pair is None else float(np.abs(pair[0] - pair[1]).max())


def wasserstein(first: Counts, second: Counts) -> float | None:
    """Earth mover's distance in bins; None when either side is empty."""
    pair = _cumulative(first, second)
    return None if pair is None else float(np.abs(pair[0] - pair[1])[:-1].sum())


def distances(feature: Feature, baseline: Baseline, window: Ints) -> dict[str, float | None]:
    """``psi``, ``js`` and, for an ordered feature, ``ks`` and ``wasserstein``.

    Args:
        feature: which.
        baseline: all hours of it are compared with.
        window: (size,) counts.
    """
    first, second = baseline.usual()[feature.place], window[feature.place]
    found = {"psi": psi(first, second), "js": jensen_shannon(first, second)}
    if feature.ordered:
        found["ks"] = kolmogorov_smirnov(first, second)
        found["wasserstein"] = wasserstein(first, second)
    return found


def _cumulative(first: Counts, second: Counts) -> tuple[Reals, Reals] | None:
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.shape != b.shape:
        raise ValueError(f"{a.size} bins cannot be compared with {b.size}")
    if not a.sum() or not b.sum():
        return None
    return np.cumsum(a) / a.sum(), np.cumsum(b) / b.sum()
