"""Distances of binned distributions, against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from edge_agent.drift.distances import distances, kolmogorov_smirnov, wasserstein
from edge_agent.drift.history import History
from tests.edge_agent.drift.streams import LAYOUT, blocks


def test_values_are_scipys():
    """To 1e-9, on a hundred pairs."""
    rng = np.random.default_rng(0)
    for _ in range(100):
        bins = int(rng.integers(2, 20))
        first, second = (rng.integers(0, 40, bins) + 1 for _ in range(2))
        a, b = (np.repeat(np.arange(bins), one) for one in (first, second))
        assert kolmogorov_smirnov(first, second) == pytest.approx(
            stats.ks_2samp(a, b).statistic, abs=1e-9
        )
        assert wasserstein(first, second) == pytest.approx(
            stats.wasserstein_distance(a, b), abs=1e-9
        )


def test_an_empty_side_has_no_distance():
    """Nor do bins of two kinds."""
    assert kolmogorov_smirnov(np.zeros(3), np.ones(3)) is None
    assert wasserstein(np.ones(3), np.zeros(3)) is None
    with pytest.raises(ValueError, match="3 bins cannot be compared with 4"):
        wasserstein(np.ones(3), np.ones(4))


def test_each_feature_has_its_distances():
    """Classes have no order, so no KS and no Wasserstein."""
    history = History.begin(LAYOUT)
    for one in blocks(25):
        history.add(one, 0.0)
    window = history.window(3)
    found = {f.name: distances(f, history.baseline, window) for f in LAYOUT.features}
    assert set(found["class"]) == {"psi", "js"}
    assert set(found["score"]) == {"psi", "js", "ks", "wasserstein"}
    assert all(0 <= value < 2 for one in found.values() for value in one.values())
