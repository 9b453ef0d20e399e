"""The life of an alert, window by window."""

from __future__ import annotations

from dataclasses import replace

from edge_agent.policy.alerts import Alert, Track, clears
from edge_agent.policy.expression import parse
from edge_agent.policy.rules import DEFAULTS, Rule

ALERT = Alert(1, "r", "cam", "camera", "warning", 100.0)


def raised_at(rule, holds, *, step_s=10.0):
    """Index of the first window in which an alert is due, or None."""
    track = Track()
    for index, one in enumerate(holds):
        now = index * step_s
        track = track.look(rule, one, None, now)
        if track.due(rule, now, wall=1000.0 + now):
            return index
    return None


def test_windows_in_a_row():
    """Three; a false one between begins anew, an absent reading is no evidence."""
    rule = Rule("r", parse("a > 1 for 3 windows"))
    assert raised_at(rule, [True, True, True]) == 2
    assert raised_at(rule, [True, True, False, True, True]) is None
    assert raised_at(rule, [True, None, True, None, True]) == 4


def test_seconds_since_the_first():
    """30 s at one window every 10 s are reached with the fourth."""
    rule = Rule("r", parse("a > 1 for 30 s"))
    assert raised_at(rule, [True] * 5) == 3
    assert raised_at(rule, [True, True, False, True, True, True, True]) == 6


def test_clearing_needs_calm_windows_in_a_row():
    """And unknown ones do not count."""
    rule = Rule("r", parse("a > 1"), clear_after=2)
    track = Track(alert=ALERT)
    for holds, over in ((False, False), (True, False), (False, False), (None, False)):
        track = track.look(rule, holds, clears(rule, holds, None), 0.0)
        assert track.over(rule) is over
    track = track.look(rule, False, True, 0.0)
    assert track.over(rule) and track.cleared(5.0) == Track(cleared_at=5.0)


def test_hysteresis_by_a_second_condition():
    """Between the two thresholds nothing changes."""
    low = parse("a < 1").condition
    rule = Rule("r", parse("a > 2"), clear_when=low, clear_after=1)
    assert clears(rule, False, False) is False and clears(rule, False, True) is True
    assert clears(rule, True, None) is None


def test_hold_off():
    """Not again so soon; a clock that was set back does not silence a rule for years."""
    rule = Rule("r", parse("a > 1"), hold_off_s=300)
    track = Track(run=1, cleared_at=1000.0)
    assert not track.due(rule, 0.0, wall=1299.0)
    assert track.due(rule, 0.0, wall=1300.0)
    assert track.due(rule, 0.0, wall=500.0)


def test_acknowledged_once():
    """The first one who took note stays."""
    known = ALERT.acknowledge("ada", 5.0)
    assert (known.state, known.acknowledged_by) == ("acknowledged", "ada")
    assert known.acknowledge("bob", 6.0) is known
    assert ALERT.state == "raised" and replace(known, acknowledged_at=0.0).state == "raised"


def test_default_rules_have_names_of_their_own():
    """They are what a device does without any configuration."""
    assert len({rule.name for rule in DEFAULTS}) == len(DEFAULTS) == 8
