"""Work in several threads, results in order."""

from __future__ import annotations

import threading

import pytest

from builder.crew import in_order


def test_results_come_in_the_order_of_the_items():
    """Also when the first takes longest."""
    second = threading.Event()

    def work(number: int) -> int:
        if number == 0:
            assert second.wait(10)
        if number == 1:
            second.set()
        return number * number

    assert list(in_order(work, range(20), workers=2)) == [n * n for n in range(20)]


def test_items_are_drawn_just_ahead_of_the_work():
    """Ten thousand pictures are never in memory together."""
    drawn = 0

    def items():
        nonlocal drawn
        for number in range(1000):
            drawn += 1
            yield number

    made = in_order(lambda number: number, items(), workers=2)
    assert next(made) == 0
    assert drawn < 10
    made.close()


def test_an_error_ends_the_work():
    """It reaches the caller, and what was not begun never is."""
    done = []

    def work(number: int) -> None:
        if number == 3:
            raise ValueError("the fourth")
        done.append(number)

    with pytest.raises(ValueError, match="the fourth"):
        list(in_order(work, range(1000), workers=2))
    assert len(done) < 12
