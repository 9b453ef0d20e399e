"""System metrics, and waiting longer after each failure."""

from __future__ import annotations

import math

import pytest

from edge_agent.backoff import Backoff
from edge_agent.monitors.system import SystemReader

ALWAYS = {"uptime_s", "cpu_percent", "process_cpu_percent", "rss_mb", "memory_percent"}


def test_a_reading_is_flat_finite_and_plausible(tmp_path):
    """What every Linux has is there; what is not there is absent, not zero."""
    reading = SystemReader(tmp_path).read()
    assert ALWAYS | {"disk_free_mb", "disk_percent"} <= set(reading)
    assert all(math.isfinite(value) for value in reading.values())
    assert 10 < reading["rss_mb"] < 10_000 and 0 < reading["memory_percent"] <= 100
    assert reading.get("temperature_c", 20) > -40


def test_a_folder_that_went_away_takes_only_its_own_readings_with_it(tmp_path):
    """An unmounted data disk must not silence the rest."""
    reading = SystemReader(tmp_path / "gone").read()
    assert "disk_free_mb" not in reading and set(reading) >= ALWAYS


@pytest.mark.parametrize(("jitter", "share"), [(0.0, 1.0), (1.0, 0.5)])
def test_delays_double_up_to_a_bound_and_begin_anew(jitter, share):
    """Between half and whole of 1, 2, 4, 5, 5 …, also after years of failures."""
    backoff = Backoff(1.0, 5.0, jitter=lambda: jitter)
    assert [backoff.next_s() for _ in range(5)] == [share * s for s in (1, 2, 4, 5, 5)]
    for _ in range(5000):
        assert backoff.next_s() == 5 * share
    backoff.reset()
    assert backoff.next_s() == share


class Away:
    """A disk that answers when the test says so."""

    def __init__(self):
        self.errands = []

    def do(self, name, errand):
        self.errands.append(errand)
        return True

    def come(self):
        while self.errands:
            self.errands.pop()()


def test_what_the_disk_does_not_say_in_time_is_absent(tmp_path):
    """The reading is that of the window before; a disk that hangs takes only its own with it."""
    disk = Away()
    reader = SystemReader(tmp_path, disk=disk)
    assert "disk_free_mb" not in reader.read() and set(reader.read()) >= ALWAYS
    disk.come()
    assert reader.read()["disk_free_mb"] > 0
    assert "disk_percent" not in reader.read()
