"""Latency quantiles in constant memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.monitors.sketch import Sketch


def filled(values):
    sketch = Sketch()
    for value in values:
        sketch.add(value)
    return sketch


@pytest.mark.parametrize("q", [0.5, 0.95, 0.99])
def test_quantiles_are_within_two_percent(q):
    """A log-normal latency, as real ones are."""
    values = np.random.default_rng(1).lognormal(3.0, 0.6, 5000)
    exact = np.quantile(values, q, method="inverted_cdf")
    assert filled(values).quantile(q) == pytest.approx(exact, rel=0.021)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.01, 1e5), max_size=50), st.lists(st.floats(0.01, 1e5), max_size=50))
def test_merging_is_the_same_as_counting_together(left, right):
    """Windows of several cameras add up exactly."""
    merged = filled(left)
    merged.merge(filled(right))
    together = filled(left + right)
    assert merged.count == together.count
    assert merged.quantile(0.5) == together.quantile(0.5)
    assert merged.quantile(0.95) == together.quantile(0.95)


def test_what_is_not_a_latency_is_not_counted():
    """A clock that jumps back must not poison the window."""
    sketch = filled([-1.0, float("nan"), float("inf")])
    assert sketch.count == 0
    assert sketch.quantile(0.5) == 0.0


def test_extremes_land_in_the_outer_buckets():
    """Zero and a week are counted, not lost."""
    sketch = filled([0.0, 6e8])
    assert sketch.count == 2
    assert sketch.quantile(0.01) < 0.01
    assert sketch.quantile(1.0) > 1e7
