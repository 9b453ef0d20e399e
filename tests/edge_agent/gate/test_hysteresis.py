"""An alarm that does not flap."""

from edge_agent.gate import Hysteresis


def alarms(hysteresis: Hysteresis, frames: str) -> str:
    """``.`` for a frame that passed, ``x`` for a rejected one -> ``A`` while the alarm is on."""
    states = ""
    for mark in frames:
        hysteresis = hysteresis.update(mark == ".")
        states += "A" if hysteresis.raised else "-"
    return states


def test_hysteresis():
    """Three bad in a row raise, two good in a row clear, anything else changes nothing."""
    start = Hysteresis(raise_after=3, clear_after=2)
    assert alarms(start, "xx.xx.") == "------"
    assert alarms(start, "xxx.x.x..x") == "--AAAAAA--"
    assert alarms(Hysteresis(1, 1), "x.x") == "A-A"


def test_a_calm_alarm_costs_nothing():
    """As long as nothing speaks against it, it stays the very same object."""
    calm = Hysteresis(5, 10)
    assert calm.update(True) is calm
