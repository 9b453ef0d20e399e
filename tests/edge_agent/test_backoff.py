"""The pace of restarts; `Backoff` is tested with what uses it."""

from __future__ import annotations

import pytest

from edge_agent.backoff import Pace


def test_a_pace_is_a_burst_and_then_even():
    """Eight at once, then one a minute; an hour's rest gives the burst back."""
    now = [0.0]
    pace = Pace(60, burst=8, clock=lambda: now[0])
    assert [pace.wait_s() for _ in range(8)] == [0.0] * 8
    assert pace.wait_s() == pytest.approx(60) and pace.wait_s() == pytest.approx(120)
    now[0] = 3600.0
    assert [pace.wait_s() for _ in range(8)] == [0.0] * 8


def test_a_pace_holds_over_hours():
    """Whoever waits as told goes on `per_hour` times an hour."""
    now = [0.0]
    pace, goes = Pace(60, burst=8, clock=lambda: now[0]), 0
    while now[0] < 4 * 3600:
        now[0] += pace.wait_s()
        goes += 1
    assert 240 <= goes <= 249
