"""The autocorrelation time against what is known of AR(1) processes."""

import numpy as np
import pytest
from scipy.signal import lfilter

from edge_agent.gate.independence import autocorrelation_time


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9, 0.97])
def test_ar1(rho):
    """(1 + rho) / (1 - rho), from 20,000 values of ten seeds."""
    times = []
    for seed in range(10):
        noise = np.random.default_rng(seed).normal(size=20_000)
        times.append(autocorrelation_time(lfilter([1], [1, -rho], noise)))
    assert np.mean(times) == pytest.approx((1 + rho) / (1 - rho), rel=0.12)


def test_what_alternates_is_not_better_than_independent():
    """Never below one: frames cannot be worth more than themselves."""
    assert autocorrelation_time([0.0, 1.0] * 500) == 1.0


@pytest.mark.parametrize("values", [[], [1.0], [2.0] * 100, [1e9] * 50, [0.1] * 1000])
def test_nothing_changes(values):
    """A constant is as good as independent, and nothing divides by zero."""
    assert autocorrelation_time(values) == 1.0


def test_a_slow_wave_says_at_least():
    """A series shorter than its own memory gives a large time, not a crash."""
    assert autocorrelation_time(np.linspace(0, 1, 300)) > 30
