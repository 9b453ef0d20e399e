"""The capture queue: policies, counting, the end and errors."""

import threading

import numpy as np
import pytest

from edge_agent.errors import SourceError
from edge_agent.sources import Frame
from edge_agent.sources.capture import Capture


class Scripted:
    """A source whose frames, end and faults are told by the test."""

    def __init__(self, script) -> None:
        self.script = iter(script)
        self.skipped: dict[str, int] = {}
        self.finished = False
        self.closed = threading.Event()
        self.exhausted = threading.Event()
        self.seq = 0

    def read(self) -> Frame | None:
        step = next(self.script, None)
        if isinstance(step, threading.Event):
            step.wait(5)
            return self.read()
        if step is None or isinstance(step, Exception):
            self.exhausted.set()
        if isinstance(step, Exception):
            raise step
        if step is None or self.closed.is_set():
            self.finished = True
            return None
        self.seq += 1
        return Frame(np.zeros((16, 16, 3), np.uint8), 0.0, self.seq, "cam")

    def close(self) -> None:
        self.closed.set()


def drain(capture: Capture) -> list[int]:
    seen = []
    while not capture.finished:
        if (item := capture.get(5)) is not None:
            seen.append(item.seq)
    return seen


def ended(capture: Capture) -> Capture:
    """Started, and every frame of the script is in the queue or dropped."""
    capture.start()
    assert capture.source.exhausted.wait(5)
    return capture


def test_wait_loses_nothing():
    """A slow reader holds the source back."""
    capture = Capture(Scripted(["frame"] * 20), policy="wait", size=2).start()
    assert drain(capture) == list(range(1, 21))
    assert (capture.captured, capture.dropped) == (20, 0)


def test_drop_oldest_keeps_the_newest():
    """What waited longest goes."""
    capture = ended(Capture(Scripted(["frame"] * 10), policy="drop-oldest", size=3))
    assert drain(capture) == [8, 9, 10]
    assert (capture.captured, capture.dropped) == (10, 7)


def test_drop_latest_keeps_the_first():
    """What just came goes."""
    capture = ended(Capture(Scripted(["frame"] * 10), policy="drop-latest", size=3))
    assert drain(capture) == [1, 2, 3]
    assert (capture.captured, capture.dropped) == (10, 7)


def test_a_lost_source_is_reported_after_its_frames():
    """The error comes once, after what was captured before it."""
    capture = ended(Capture(Scripted(["frame", SourceError("unplugged")]), policy="wait", size=9))
    assert capture.get(5).seq == 1
    assert not capture.finished
    with pytest.raises(SourceError, match="unplugged"):
        capture.get(5)
    assert capture.finished and capture.get(0) is None


def test_a_drivers_own_exception_is_reported_too():
    """Whatever a driver raises reaches the loop as a SourceError."""
    capture = ended(Capture(Scripted([ZeroDivisionError("driver")]), policy="wait"))
    with pytest.raises(SourceError, match="ZeroDivisionError while reading a frame: driver"):
        capture.get(5)


def test_get_times_out():
    """No frame in time is None, and not the end."""
    gate = threading.Event()
    capture = Capture(Scripted([gate, "frame"])).start()
    assert capture.get(0.01) is None and not capture.finished
    gate.set()
    assert capture.get(5).seq == 1
    assert capture.close()


def test_close_frees_a_waiting_thread():
    """A full queue under the policy wait does not keep close from returning."""
    source = Scripted(["frame"] * 100)
    capture = Capture(source, policy="wait", size=1).start()
    assert capture.get(5).seq == 1
    assert capture.close(5)
    assert source.closed.is_set()


def test_a_hung_driver_is_told():
    """A read that never returns is reported by close, not waited for for ever."""
    hang = threading.Event()
    capture = Capture(Scripted([hang])).start()
    assert not capture.close(0.05)
    hang.set()


def test_unknown_policy():
    """A policy that does not exist is refused."""
    with pytest.raises(SourceError, match="drop-all"):
        Capture(Scripted([]), policy="drop-all")
