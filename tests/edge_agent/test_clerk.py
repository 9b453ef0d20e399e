"""Errands at a disk that may not answer."""

from __future__ import annotations

import threading

import pytest

from edge_agent.clerk import ERRANDS_MOST, STALL_S, AtOnce, Clerk, Clerks, Stalls


class Gate:
    """An errand that hangs until it is let go."""

    def __init__(self):
        self.inside, self.go_on = threading.Event(), threading.Event()

    def __call__(self):
        self.inside.set()
        assert self.go_on.wait(10)


@pytest.fixture
def stuck():
    """A clerk that hangs in an errand, on a clock that the test moves."""
    now = [100.0]
    clerk, gate = Clerk("data", lambda: now[0]), Gate()
    clerk.do("stuck", gate)
    assert gate.inside.wait(10)
    yield clerk, gate, now
    gate.go_on.set()
    clerk.close(10)


def test_errands_are_done_in_order_and_the_newest_of_a_name_is(stuck):
    """One that waits is replaced, and goes behind what was lined up since."""
    clerk, gate, _ = stuck
    done = []
    for name, what in (("a", 1), ("b", 2), ("a", 3)):
        assert clerk.do(name, lambda what=what: done.append(what))
    assert clerk.waiting == 2 and done == []
    gate.go_on.set()
    assert clerk.settle(10) and done == [2, 3]


def test_what_waits_is_bounded(stuck):
    """A new name is refused, a known one is not."""
    clerk, _, _ = stuck
    assert all(clerk.do(str(number), int) for number in range(ERRANDS_MOST))
    assert not clerk.do("one more", int) and clerk.do("0", int)
    assert not clerk.settle(0.01) and not clerk.close(0.01)
    assert not clerk.do("0", int)


def test_a_stall_is_a_state_then_an_event_and_counted(stuck):
    """Below the limit it is nothing; it is told once, when it is over."""
    data, gate, now = stuck
    run = Clerk("run")
    stalls = Stalls(Clerks(data, run))
    now[0] += STALL_S - 0.5
    assert stalls.state == "" and data.busy_s == STALL_S - 0.5
    now[0] += 10.5
    assert stalls.state == "disk stalled: data for 12 s" and stalls.look() == []
    assert stalls.totals() == {"disk_stalls_total": 0, "disk_stalled_seconds_total": 0.0}
    gate.go_on.set()
    assert data.settle(10) and stalls.state == ""
    (told,) = stalls.look()
    assert told.payload["kind"] == "disk.stalled" and told.payload["seconds"] == 12.0
    assert stalls.look() == []
    assert stalls.totals() == {"disk_stalls_total": 1, "disk_stalled_seconds_total": 12.0}
    assert run.close(10)


def test_an_errand_that_raises_does_not_end_the_thread(caplog):
    """It is a bug, and it is logged; what follows is done."""
    clerk, done = Clerk("data"), []
    clerk.do("bad", lambda: 1 / 0)
    clerk.do("good", lambda: done.append(1))
    assert clerk.settle(10) and done == [1]
    assert "ZeroDivisionError" in caplog.text
    assert clerk.close(10)


def test_at_once_is_at_once():
    """For who has no frames to judge."""
    done = []
    assert AtOnce().do("a", lambda: done.append(1)) and done == [1] and AtOnce().settle(0.0)
