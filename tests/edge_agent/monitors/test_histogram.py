"""Counting into fixed bins, one number or many."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.monitors.histogram import EDGES, Histograms, quantile

VALUES = st.one_of(
    st.floats(-1, 60), st.just(math.nan), st.sampled_from([0.1, 0.5, 1.0, 2.5, 50.5])
)


@given(st.sampled_from(sorted(EDGES)), st.lists(VALUES, max_size=30))
def test_one_by_one_is_the_same_as_all_at_once(name, values):
    """The quick way for a single number counts as the way for arrays does."""
    single, together = Histograms(3), Histograms(3)
    for value in values:
        single.add(name, value)
    together.add(name, values)
    assert single.counts[name].tolist() == together.counts[name].tolist()
    assert single.counts[name].sum() == sum(not math.isnan(value) for value in values)


def test_an_edge_belongs_to_the_upper_bin():
    """Bins are closed below; what lies outside goes to the first or the last."""
    histograms = Histograms(2)
    histograms.add("score", [0.0999, 0.1, 5.0, -5.0])
    assert histograms.counts["score"][[0, 1, -1]].tolist() == [2, 1, 1]


def test_classes_stay_in_range():
    """An id that the model does not have is counted at the nearest end."""
    histograms = Histograms(2)
    histograms.add("class", np.asarray([0, 1, 1, 7, -3], np.float32))
    histograms.add("class", 1.0)
    assert histograms.counts["class"].tolist() == [2, 4]


def test_merge():
    """Two windows together are their counts together."""
    first, second = Histograms(1, frames=2), Histograms(1, frames=3)
    first.add("ssim", 0.9)
    second.add("ssim", [0.9, 0.1])
    first.merge(second)
    assert first.frames == 5 and first.counts["ssim"].sum() == 3


def test_quantile():
    """Linear inside a bin; nothing counted is not a number."""
    histograms = Histograms(1)
    assert math.isnan(quantile(histograms.counts["ssim"], "ssim", 0.5))
    histograms.add("ssim", np.linspace(0, 1, 10_001))
    for q in (0.1, 0.5, 0.9):
        assert quantile(histograms.counts["ssim"], "ssim", q) == pytest.approx(q, abs=0.01)
