"""What looking again and again costs: formulas against simulated processes."""

from __future__ import annotations

import numpy as np
import pytest

from edge_agent.drift import cusum
from edge_agent.drift.scan import SCALES, beginnings, critical, price
from edge_agent.drift.tails import chi2_tail


@pytest.mark.parametrize("scale", [3, 12, 48])
def test_beginnings_of_a_moving_sum(scale):
    """Two million blocks of noise: stretches of |z| > 3.5 are as many as the formula says, to 30 %.

    What exceeds it again within the window's length belongs to the same stretch.
    """
    rng = np.random.default_rng(scale)
    total = np.cumsum(rng.standard_normal(2_000_000))
    at = np.flatnonzero(np.abs(total[scale:] - total[:-scale]) / np.sqrt(scale) > 3.5)
    begun = 1 + int((np.diff(at) > scale).sum())
    said = chi2_tail(3.5**2, 1) * beginnings(np.sqrt(2 * 3.5**2 / scale))
    assert begun / 2e6 == pytest.approx(said, rel=0.3)


def test_the_price_of_all_scales_is_not_below_what_happens():
    """New alarms over all lengths of windows together, with pauses of three blocks."""
    total = np.cumsum(np.random.default_rng(7).standard_normal(2_000_000))
    most = np.zeros(len(total) - SCALES[-1])
    for scale in SCALES:
        z = (total[scale:] - total[:-scale]) / np.sqrt(scale)
        most = np.maximum(most, z[len(z) - len(most) :] ** 2)
    at = np.flatnonzero(most > 14.0)
    begun = 1 + int((np.diff(at) > 3).sum())
    assert 0.4 < begun / len(most) / price(14.0, 1) < 1.0


def test_the_price_falls_and_has_an_inverse():
    """Monotone in x; skewness raises it; never above 1."""
    values = [price(x, 9) for x in np.linspace(0, 120, 60)]
    assert values == sorted(values, reverse=True) and values[0] == 1.0
    assert price(critical(1e-6, 3), 3) == pytest.approx(1e-6, rel=1e-4)
    assert price(30.0, 1, skew=2.0) == pytest.approx(np.exp(2.0) * price(30.0, 1))


@pytest.mark.parametrize("spread", [0.0, 0.1])
def test_the_run_length_of_the_sums(spread):
    """400 cameras of 5,000 blocks: beginnings as Siegmund's formula says, to a quarter.

    Sums start at zero and an alarm lasts until they are zero again, as it does for `History`.
    """
    rng, limit = np.random.default_rng(3), 6.0
    off = spread * rng.standard_normal(400)
    sums, raised, begun = np.zeros((2, 400)), np.zeros((2, 400), bool), 0
    for _ in range(5000):
        sums = cusum.step(sums, rng.standard_normal(400) + off)
        begun += int(((sums > limit) & ~raised).sum())
        raised = (raised | (sums > limit)) & (sums > 0)
    assert begun / (400 * 5000) == pytest.approx(cusum.rate(limit, spread), rel=0.25)


def test_the_limit_has_the_wanted_rate():
    """And a baseline that is less sure needs a higher one."""
    assert cusum.rate(cusum.limit_for(1e-5, 0.1), 0.1) == pytest.approx(1e-5, rel=1e-3)
    assert cusum.limit_for(1e-5, 0.1) > cusum.limit_for(1e-5, 0.0)
