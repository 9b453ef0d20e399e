"""Intervals of correlated looks hold the truth as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.feedback.weight import ASSUMED_S, effective_count
from edge_agent.monitors.intervals import wilson

RHO = 0.9
TAU_FRAMES = (1 + RHO) / (1 - RHO)


def looks(times, camera="top"):
    return [(camera, float(at)) for at in times]


def chain(rng, share, count):
    """0 and 1 in a row: each as the one before with the chance `RHO`, else drawn anew."""
    fresh = rng.random(count) < share
    drawn = rng.random(count) >= RHO
    drawn[0] = True
    return fresh[np.maximum.accumulate(np.where(drawn, np.arange(count), 0))]


@pytest.mark.parametrize("share", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("count", [300, 2000])
def test_coverage_at_a_correlation_of_nine_tenths(share, count):
    """At least 93 of 100 where 95 are promised; counting each frame gives less than 45."""
    rng = np.random.default_rng(5)
    times = np.arange(count) / 30
    effective = effective_count(looks(times), {"top": TAU_FRAMES / 30})
    held = naive = 0
    for _ in range(2000):
        mean = chain(rng, share, count).mean()
        careful, careless = wilson(mean, effective), wilson(mean, count)
        held += careful.low <= share <= careful.high
        naive += careless.low <= share <= careless.high
    assert 0.93 <= held / 2000 <= 0.985
    assert naive / 2000 < 0.45


def test_coverage_where_only_some_frames_were_judged():
    """An inspector looks in bursts: the distances count, not the number of frames between."""
    rng = np.random.default_rng(6)
    begins = np.sort(rng.choice(4000, 40, replace=False)) * 5
    chosen = np.unique(np.concatenate([begins + step for step in range(5)]))
    effective = effective_count(looks(chosen / 30), {"top": TAU_FRAMES / 30})
    held = 0
    for _ in range(1000):
        interval = wilson(chain(rng, 0.8, 20_010)[chosen].mean(), effective)
        held += interval.low <= 0.8 <= interval.high
    assert held / 1000 >= 0.93
    assert 40 <= effective < len(chosen) / 2


def test_by_hand():
    """Far apart: each counts. At once: one. Two cameras: together."""
    assert effective_count([], {}) == 0.0
    assert effective_count(looks([0, 1000, 2000]), {}) == pytest.approx(3.0)
    assert effective_count(looks([7, 7, 7, 7]), {}) == pytest.approx(1.0)
    assert effective_count(looks([7, 7]) + looks([7, 7], "side"), {}) == pytest.approx(2.0)
    two = 4 / (2 + 2 * np.exp(-1))
    assert effective_count(looks([0, ASSUMED_S / 2]), {}) == pytest.approx(two)
    assert effective_count(looks([1, 0]), {"top": 2.0}) == pytest.approx(two)


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 100)), min_size=1, max_size=12),
    st.floats(0.1, 50),
)
def test_one_pass_is_the_double_sum(seen, tau_s):
    """Against the definition, pair by pair."""
    together = sum(
        float(np.exp(-2 * abs(first[1] - second[1]) / tau_s))
        for first in seen
        for second in seen
        if first[0] == second[0]
    )
    found = effective_count(seen, {"a": tau_s, "b": tau_s})
    assert found == pytest.approx(len(seen) ** 2 / together)
    assert 1 - 1e-9 <= found <= len(seen) + 1e-9
