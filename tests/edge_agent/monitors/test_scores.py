"""Scores of a check in a window."""

import numpy as np
import pytest

from edge_agent.monitors.scores import ScoreTally


def test_quantiles_are_about_those_of_the_values():
    """Within a bin's width, from values on both sides of the limit."""
    values = np.random.default_rng(0).gamma(2, 0.2, 5000)
    tally = ScoreTally()
    for value in values:
        tally.add(float(value), value >= 1)
    for q in (0.5, 0.95):
        assert tally.quantile(q) == pytest.approx(np.quantile(values, q), abs=0.03)
    assert tally.failed == (values >= 1).sum() and tally.most == values.max()
    assert tally.quantile(1.0) == values.max()


def test_nothing_and_far_out():
    """An empty window is 0; a score beyond the last bin is not cut off."""
    assert ScoreTally().quantile(0.5) == 0.0
    tally = ScoreTally()
    for _ in range(10):
        tally.add(40.0, True)
    assert 5.0 <= tally.quantile(0.5) <= 40.0 and tally.most == 40.0
