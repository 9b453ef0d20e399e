"""What looking again and again costs: formulas against simulated processes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from edge_agent.drift import cusum
from edge_agent.drift.scan import OVERLAP, SCALES, beginnings, price
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
    assert begun / 2e6 == pytest.approx(float(said), rel=0.3)


@pytest.mark.parametrize(("freedom", "x"), [(1, 13.6), (1, 16.0), (3, 19.8), (9, 32.6)])
def test_the_price_of_all_scales_is_not_below_what_happens(freedom, x):
    """Alarms over all lengths of windows together, each over after three blocks at ten times."""
    rng, number = np.random.default_rng(freedom), 1_000_000
    total = np.zeros((number + 1, freedom))
    np.cumsum(rng.standard_normal((number, freedom)), 0, out=total[1:])
    most = np.zeros(number + 1 - SCALES[-1])
    for scale in SCALES:
        z = ((total[scale:] - total[:-scale]) ** 2).sum(1) / scale
        most = np.maximum(most, z[len(z) - len(most) :])
    rate = float(price(x, freedom))
    near = next(y for y in np.arange(x, 0, -0.05) if price(y, freedom) > 10 * rate)
    begun, raised, last = 0, False, 0
    for at in np.flatnonzero(most > near).tolist():
        raised, last = raised and at - last <= 3, at
        begun += most[at] > x and not raised
        raised = raised or most[at] > x
    assert 0.6 < begun / len(most) / rate < 1.0


def test_the_price_falls_and_skewness_raises_it():
    """Monotone in x; never above 1; the table of looks is that of the formula."""
    values = price(np.linspace(0, 120, 60), 9)
    assert (np.diff(values) <= 0).all() and values[0] == 1.0
    raised = np.exp(2.0) * float(price(30.0, 1))
    assert float(price(30.0, 1, skew=2.0)) == pytest.approx(raised)
    looks = sum(float(beginnings(np.sqrt(2 * 17.123 / scale))) for scale in SCALES)
    wanted = OVERLAP * looks * stats.chi2.sf(17.123, 4)
    assert float(price(17.123, 4)) == pytest.approx(wanted, rel=1e-5)


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
    assert begun / (400 * 5000) == pytest.approx(float(cusum.rate(limit, spread)), rel=0.25)


def test_a_baseline_that_is_less_sure_costs_more():
    """Both grow with the limit's fall; many limits at once are one by one."""
    assert cusum.rate(8.0, 0.1) > cusum.rate(8.0, 0.0) > cusum.rate(9.0, 0.0)
    limits, spreads = np.array([3.0, 6.0, 30.0]), np.array([0.0, 0.1, 0.2])
    one_by_one = [float(cusum.rate(*pair)) for pair in zip(limits, spreads, strict=True)]
    assert cusum.rate(limits, spreads) == pytest.approx(one_by_one)
