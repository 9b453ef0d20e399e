"""How long frames resemble each other, learnt while they come in."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from edge_agent.drift.sampling import (
    CAREFUL,
    LEAST_SPACING_S,
    LEVELS,
    Independence,
    Spacing,
    spacing_from,
)


def ar1(rho, number, seed):
    """An AR(1) series of unit variance."""
    noise = np.random.default_rng(seed).standard_normal(number) * np.sqrt(1 - rho**2)
    return signal.lfilter([1.0], [1.0, -rho], noise).tolist()


@pytest.mark.parametrize(("rho", "number"), [(0.0, 2000), (0.9, 40_000), (0.99, 400_000)])
def test_the_time_of_an_ar1_process(rho, number):
    """(1 + rho) / (1 - rho), rather too long than too short, in nearly all of ten series."""
    true, found = (1 + rho) / (1 - rho), []
    for seed in range(10):
        one = Independence()
        for value in ar1(rho, number, seed):
            one.add(value)
        assert len(one.levels) <= LEVELS
        found.append(one.frames)
    assert all(0.75 * true < tau < 2.2 * CAREFUL * true for tau in found), found
    assert np.median(found) >= true


def test_a_constant_and_too_little():
    """A constant says nothing against counting every frame; fewer than 48 frames say nothing."""
    still, few = Independence(), Independence()
    for _ in range(100):
        still.add(0.5)
    for value in range(40):
        few.add(float(value % 7))
    assert still.frames == 1.0 and few.frames is None


def test_a_trend_is_not_mistaken_for_noise():
    """As long as means of longer stretches go on differing, nothing is concluded."""
    one = Independence()
    for value in range(5000):
        one.add(float(value))
    assert one.frames is None


def test_the_slowest_statistic_sets_the_spacing():
    """At 10 frames a second; NaN (no gate) does not count."""
    spacing = Spacing(None, 3)
    quick, slow = ar1(0.0, 60_000, 1), ar1(0.95, 60_000, 2)
    for index, values in enumerate(zip(quick, slow, strict=True)):
        spacing.add(index / 10, [*values, float("nan")])
        if spacing.seconds is not None:
            break
    assert spacing.seconds is not None
    assert 0.75 * 2.5 * 39 / 10 < spacing.seconds < 2.2 * CAREFUL * 2.5 * 39 / 10
    assert spacing_from(0.1) == LEAST_SPACING_S
    assert Spacing(7.0, 3).seconds == 7.0
