"""Log lines that nobody takes."""

from __future__ import annotations

import logging
import threading

import pytest

from edge_agent.loop.logs import Aside


class Pipe(logging.Handler):
    """A handler that hangs while it is full."""

    def __init__(self):
        super().__init__()
        self.lines, self.inside, self.open = [], threading.Event(), threading.Event()

    def emit(self, record):
        self.inside.set()
        assert self.open.wait(10)
        self.lines.append(self.format(record))


@pytest.fixture
def logger():
    """A logger of its own, whose handler is set aside with room for three lines."""
    pipe = Pipe()
    aside = Aside(pipe, 3)
    made = logging.Logger("test")
    made.addHandler(aside)
    yield made, aside, pipe
    pipe.open.set()
    aside.finish(10)


def test_who_logs_does_not_wait_and_what_is_lost_is_said(logger):
    """Three wait behind the one that hangs; the others are counted."""
    log, aside, pipe = logger
    log.warning("first %s", "line")
    assert pipe.inside.wait(10)
    for number in range(5):
        log.warning("%d", number)
    assert aside.lost == 2 and not aside.finish(0.01)
    pipe.open.set()
    assert aside.finish(10)
    assert pipe.lines == ["first line", "2 log lines were lost: nobody took them", "0", "1", "2"]


def test_arguments_are_taken_as_they_are_now(logger):
    """Also the traceback; after the end a line is written at once."""
    log, aside, pipe = logger
    box = [1]
    log.warning("%s", box)
    box.append(2)
    try:
        raise ValueError("odd")
    except ValueError:
        log.exception("fault")
    pipe.open.set()
    assert aside.finish(10)
    log.warning("last")
    assert pipe.lines[0] == "[1]" and "ValueError: odd" in pipe.lines[1] and pipe.lines[2] == "last"
