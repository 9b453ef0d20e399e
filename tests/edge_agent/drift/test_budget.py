"""The knob of a device, shared by cameras."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.drift_months import alarms
from edge_agent.drift.budget import Seat, levels


def test_cameras_share_evenly_while_nothing_is_near():
    """Their levels add up to the knob; one camera has all of it."""
    quiet = {name: Seat(1e3) for name in "abcd"}
    assert levels(quiet, 2.0) == dict.fromkeys("abcd", 0.5)
    assert levels({"a": Seat(1e3)}, 2.0) == {"a": 2.0}


def test_who_cannot_alarm_leaves_its_share():
    """One still learns, one stands; the other two have half the knob each."""
    seats = {"a": Seat(1e3), "b": Seat(1e3), "c": Seat(None), "d": Seat(1e-9, raised=True)}
    shared = levels(seats, 1.0)
    assert shared["a"] == shared["b"] == 0.5
    assert shared["d"] == pytest.approx(1 / 3)
    assert levels({"a": Seat(None)}, 1.0) == {"a": 1.0}


def test_what_several_say_together_is_worth_more():
    """Benjamini and Hochberg over cameras: each alone is outside its quarter."""
    near = {name: Seat(0.9) for name in "abcd"}
    assert levels(near, 1.0) == dict.fromkeys("abcd", 1.0)
    assert levels(near | {"d": Seat(50.0)}, 1.0) == dict.fromkeys("abcd", 0.25)
    near = {name: Seat(0.7) for name in "abc"} | {"d": Seat(50.0)}
    assert levels(near, 1.0) == dict.fromkeys("abcd", 0.75)


@pytest.mark.parametrize("cameras", [1, 4])
@pytest.mark.parametrize("drifted", [False, True])
def test_cameras_that_do_not_change_keep_the_knob(cameras, drifted):
    """Chances that are what they say, one alarm each: as many alarms as the knob, in 600 months.

    Also where one camera has drifted for good and its alarm stands.
    """
    rng, block_s, months = np.random.default_rng(cameras), 18_000.0, 600
    blocks = 144 * months
    chances = [rng.uniform(size=blocks) for _ in range(cameras)]
    if drifted:
        chances.append(np.zeros(blocks))
    told = [camera for _, camera in alarms(chances, block_s, 1.0) if camera < cameras]
    assert len(told) / months == pytest.approx(1.0, rel=0.15)
