"""Budgets over rolling windows."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.captures.limits import DAY_S, MINUTE_S, Limits


def limits(**changes):
    values = {"spacing_s": 0.0, "per_minute": 1000, "per_day": 1000, "reason_share": 1.0}
    return Limits(**(values | changes))


def test_neighbours_are_spaced_per_camera_and_reason():
    """The same camera and reason wait, others do not."""
    budget = limits(spacing_s=10.0)
    assert budget.ask("top", "check", 0.0) == ""
    assert budget.ask("top", "check", 9.99) == "spacing"
    assert budget.ask("top", "rare", 9.99) == ""
    assert budget.ask("side", "check", 9.99) == ""
    assert budget.ask("top", "check", 10.0) == ""


def test_a_minute_s_budget_rolls():
    """Two in any sixty seconds."""
    budget = limits(per_minute=2)
    asked = {second: budget.ask("top", "check", float(second)) for second in (0, 50, 59, 60, 61)}
    assert asked == {0: "", 50: "", 59: "minute", 60: "", 61: "minute"}


def test_no_reason_takes_the_whole_day():
    """Half of the day is left for the others."""
    budget = limits(per_day=4, reason_share=0.5)
    asked = [budget.ask("top", "check", float(now)) for now in range(3)]
    assert asked == ["", "", "day"]
    assert [budget.ask("top", "rare", 3.0), budget.ask("top", "baseline", 4.0)] == ["", ""]
    assert budget.ask("top", "uncertain", 5.0) == "day"
    assert budget.ask("top", "check", DAY_S) == ""


def test_what_was_kept_before_a_restart_counts():
    """A crash loop does not get a new budget each time."""
    budget = limits(per_day=3)
    budget.remember([(-10.0, "check"), (-DAY_S + 5.0, "check")])
    assert budget.ask("top", "check", 0.0) == ""
    assert budget.ask("top", "check", 1.0) == "day"
    assert budget.ask("top", "check", 5.0) == ""


def test_the_day_s_budget_is_given_back_the_minute_s_is_not():
    """A disk that refuses for an hour does not cost the day, and is not tried all the time."""
    budget = limits(per_minute=1, per_day=1)
    assert budget.ask("top", "check", 0.0) == ""
    budget.give_back("check", 0.0)
    budget.give_back("check", 0.0)
    assert budget.ask("top", "check", 1.0) == "minute"
    assert budget.ask("top", "check", 60.0) == ""
    assert budget.ask("top", "check", 120.0) == "day"


steps = st.lists(
    st.tuples(st.floats(0, 5000), st.sampled_from("ab"), st.sampled_from(["x", "y", "z"])),
    max_size=200,
)


@given(steps)
def test_no_window_ever_holds_more(steps):
    """Whatever is asked for when."""
    budget = limits(spacing_s=7.0, per_minute=3, per_day=20, reason_share=0.4)
    now, taken = 0.0, []
    for gap, camera, reason in steps:
        now += gap
        if budget.ask(camera, reason, now) == "":
            taken.append((now, camera, reason))
    for at, camera, reason in taken:
        window = [item for item in taken if at - MINUTE_S < item[0] <= at]
        day = [item for item in taken if at - DAY_S < item[0] <= at]
        near = [item for item in taken if at - 7.0 < item[0] <= at]
        assert len(window) <= 3 and len(day) <= 20
        assert Counter(item[2] for item in day)[reason] <= 8
        assert near.count((at, camera, reason)) == 1
        assert [item[1:] for item in near].count((camera, reason)) == 1
