"""Slices over a restart: as they were, never older than a day, strict, and rarely written."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edge_agent.clerk import AtOnce
from edge_agent.errors import StorageError
from edge_agent.monitors.slice_memory import KEPT, SAVE_S, SliceMemory, document_of, read, write
from edge_agent.monitors.slices import Hour, SliceCounts, SliceHistory

CLASSES = ("a", "b")
DAY = 24 * 3600.0


def counts(frames, *, holding=(0, 0)):
    made = SliceCounts(2, frames, frames // 4)
    made.holding += np.asarray(holding)
    made.boxes += 2 * np.asarray(holding)
    return made


class Bench:
    """A history in a folder, on clocks that the test moves."""

    def __init__(self, path):
        self.path = path
        self.now, self.wall = 0.0, 50 * 3600.0
        self.restart()

    def restart(self):
        self.history = SliceHistory(CLASSES)
        self.memory = SliceMemory(
            self.path, self.history, AtOnce(), clock=lambda: self.now, wall=lambda: self.wall
        )

    def hours(self, number):
        for _ in range(number):
            self.wall += 3600
            hour = int(self.wall // 3600)
            cameras = {"top": counts(40, holding=(9, 1)), "side": counts(40, holding=(3, hour % 5))}
            self.history.add(cameras, hour=hour, local_hour=(7, 15)[hour % 2])


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path / "slices" / "m" / "abc.json")


def test_a_restart_keeps_the_last_day(bench):
    """The same differences before and after, also in the hour that goes on."""
    bench.hours(30)
    before = bench.history.differences()
    bench.memory.save()
    bench.restart()
    assert bench.history.hours == 24 and bench.history.differences() == before
    assert set(before) == {"camera", "shift", "time"}
    now = {"top": counts(7, holding=(7, 7))}
    bench.history.add(now, hour=int(bench.wall // 3600), local_hour=7)
    assert bench.history.hours == 24


def test_what_is_older_than_a_day_is_left_out(bench):
    """A line that stood still over the weekend begins anew; a clock that is behind forgets none."""
    bench.hours(10)
    bench.memory.save()
    bench.wall += 20 * 3600
    bench.restart()
    assert bench.history.hours == 4
    bench.wall = 0.0
    bench.restart()
    assert bench.history.hours == 10


def test_it_is_written_every_ten_minutes_and_not_more_often(bench):
    """Windows come every few seconds."""
    bench.hours(1)
    for _ in range(99):
        bench.now += SAVE_S / 100
        bench.memory.window()
    assert not bench.path.exists()
    bench.now += SAVE_S / 100
    bench.memory.window()
    written = bench.path.read_bytes()
    bench.hours(1)
    bench.memory.window()
    assert bench.path.read_bytes() == written


def test_a_snapshot_is_not_changed_by_what_follows(bench):
    """The errand may come to it much later."""
    bench.hours(2)
    snapshot = bench.history.snapshot()
    document = json.dumps(document_of(snapshot, CLASSES))
    more = {"top": counts(5, holding=(1, 1))}
    bench.history.add(more, hour=int(bench.wall // 3600), local_hour=7)
    assert json.dumps(document_of(snapshot, CLASSES)) == document
    assert document_of(bench.history.snapshot(), CLASSES) != json.loads(document)


def test_a_disk_that_refuses_is_told_once(bench, caplog):
    """A file stands where the folder should be."""
    bench.path.parent.parent.write_text("in the way")
    bench.hours(1)
    bench.memory.save()
    bench.memory.save()
    assert caplog.text.count("a restart will count slices anew") == 1


def test_slices_of_long_gone_releases_are_removed(tmp_path):
    """The newest few stay."""
    for number in range(KEPT + 3):
        write(tmp_path / f"{number}.json", [], CLASSES)
    assert len(list(tmp_path.iterdir())) == KEPT


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema_version": 2}, "only 1 is known"),
        ({"classes": ["a", "c"]}, "classes: are not the model's"),
        ({"hours": [{}] * 25}, "at most 24 fit"),
        ({"hours": [{"number": -1, "local_hour": 7, "cameras": []}]}, "number"),
        ({"hours": [{"number": 1, "local_hour": 24, "cameras": []}]}, "above the most"),
        ({"extra": 1}, "is not a known key"),
    ],
)
def test_a_damaged_file_is_named_and_begun_anew(bench, change, words, caplog):
    """Each fault with its place; the agent goes on."""
    bench.hours(2)
    bench.memory.save()
    document = json.loads(bench.path.read_bytes()) | change
    bench.path.write_text(json.dumps(document))
    with pytest.raises(StorageError, match=words):
        read(bench.path, CLASSES)
    bench.restart()
    assert bench.history.hours == 0 and "counted anew" in caplog.text


@pytest.mark.parametrize("bad", [[1], [1, -1], [1, 2e300], ["a", "b"]])
def test_counts_are_counts(tmp_path, bad):
    """As many as classes, none below 0, none that no counter reaches."""
    path, hour = tmp_path / "a.json", Hour(5, 15, {"top": counts(4)})
    document = document_of([hour], CLASSES)
    document["hours"][0]["cameras"][0]["boxes"] = bad
    path.write_text(json.dumps(document))
    with pytest.raises(StorageError, match="boxes"):
        read(path, CLASSES)
    twice = document_of([hour], CLASSES)
    twice["hours"][0]["cameras"] *= 2
    path.write_text(json.dumps(twice))
    with pytest.raises(StorageError, match="twice"):
        read(path, CLASSES)
