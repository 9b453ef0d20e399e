"""Telemetry that waits on disk: order, bound, what goes first, what survives."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.errors import StorageError
from edge_agent.telemetry.outbox import PAYLOAD_MOST, Outbox, Parcel

METRIC, EVENT = 0, 1


def parcel(number, priority=METRIC, size=100):
    return Parcel("up/events", f"{number}".encode().ljust(size, b" "), priority=priority)


def numbers(outbox):
    return [int(item.parcel.payload) for item in outbox.waiting(10_000)]


@pytest.fixture
def outbox(tmp_path):
    box = Outbox(tmp_path / "outbox.sqlite", 1 << 20)
    yield box
    box.close()


def test_order_is_kept_and_only_what_is_done_goes(outbox):
    """Receivers see the order of production, whatever they confirm first."""
    outbox.put(parcel(n) for n in range(5))
    first = outbox.waiting(2)
    assert [int(w.parcel.payload) for w in first] == [0, 1]
    assert [int(w.parcel.payload) for w in outbox.waiting(2, after=first[-1].id)] == [2, 3]
    outbox.done([first[1].id, 999])
    assert numbers(outbox) == [0, 2, 3, 4]


def test_everything_is_there_after_reopening(tmp_path):
    """A restart finds bytes, flags, counters and cursors as they were."""
    path = tmp_path / "outbox.sqlite"
    box = Outbox(path, 1 << 20)
    box.put([Parcel("up/info", b"\x00\xff", retain=True, priority=EVENT)], cursor=("audit", 7))
    size = box.size_bytes
    box.close()
    box = Outbox(path, 1 << 20)
    assert box.waiting(9)[0].parcel == Parcel("up/info", b"\x00\xff", True, EVENT)
    assert (len(box), box.size_bytes, box.cursor("audit"), box.cursor("other")) == (1, size, 7, 0)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([METRIC, EVENT]), st.integers(1, 400)), max_size=40))
def test_the_bound_holds_and_metrics_go_before_events(tmp_path_factory, arrivals):
    """Whatever arrives: bounded, counted, oldest metrics first, no event before the last metric."""
    box = Outbox(tmp_path_factory.mktemp("box") / "outbox.sqlite", 2000)
    for number, (priority, size) in enumerate(arrivals):
        box.put([parcel(number, priority, size)])
        assert box.size_bytes <= 2000
    kept = numbers(box)
    assert box.dropped == len(arrivals) - len(kept) and len(box) == len(kept)
    gone = set(range(len(arrivals))) - set(kept)
    for priority in (METRIC, EVENT):
        survivors = [n for n in kept if arrivals[n][0] == priority]
        lost = [n for n in gone if arrivals[n][0] == priority]
        assert not survivors or all(n < min(survivors) for n in lost)
    box.close()


def test_a_message_and_its_cursor_stand_or_fall_together(outbox):
    """A write that fails leaves neither the event nor the cursor behind."""
    broken = Parcel("up/events", object())  # type: ignore[arg-type]
    with pytest.raises((StorageError, TypeError)):
        outbox.put([parcel(1, EVENT), broken], cursor=("audit", 3))
    assert (len(outbox), numbers(outbox), outbox.cursor("audit")) == (0, [], 0)


def test_a_damaged_file_is_put_aside(tmp_path):
    """Telemetry must never keep an agent from running."""
    path = tmp_path / "outbox.sqlite"
    path.write_bytes(b"this is not a database" * 100)
    box = Outbox(path, 1 << 20)
    box.put([parcel(1)])
    assert numbers(box) == [1]
    assert path.with_name("outbox.sqlite.damaged").read_bytes().startswith(b"this is not")


def test_pages_that_are_damaged_further_in_are_put_aside_too(tmp_path):
    """A whole header does not make a whole database."""
    path = tmp_path / "outbox.sqlite"
    box = Outbox(path, 1 << 20)
    box.put([parcel(1)])
    box.close()
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"Z" * (len(data) - 4096))
    box = Outbox(path, 1 << 20)
    box.put([parcel(2)])
    assert numbers(box) == [2]


@pytest.mark.parametrize(
    "change",
    [
        "DROP TABLE message; CREATE TABLE message (x)",
        "DROP TABLE counter; CREATE TABLE counter (x)",
        "INSERT OR REPLACE INTO counter VALUES ('denied', 'many')",
        "INSERT OR REPLACE INTO counter VALUES ('worked_ms', 9223372036854775807)",
        "UPDATE message SET born = 'long ago'",
        "UPDATE message SET payload = 5",
        "UPDATE message SET aside = 'x'",
        "UPDATE message SET suffix = x'ff'",
        "INSERT INTO message VALUES (9223372036854775807, 0, 0, 0, 'up/x', 0, x'00')",
        "INSERT OR REPLACE INTO life VALUES (1, x'00', 'last')",
        "PRAGMA user_version = 7",
    ],
)
def test_what_no_outbox_wrote_is_put_aside_and_said(tmp_path, caplog, change):
    """SQLite itself takes all of these: tables of others, and bits that fell over in a value."""
    path = tmp_path / "outbox.sqlite"
    box = Outbox(path, 1 << 20)
    box.put([parcel(1)])
    box.close()
    other = sqlite3.connect(path)
    other.executescript(change)
    other.commit()
    other.close()
    box = Outbox(path, 1 << 20)
    box.put([parcel(2)])
    assert numbers(box) == [2] and path.with_name("outbox.sqlite.damaged").is_file()
    assert "it is outbox.sqlite.damaged now" in caplog.text
    box.close()


def test_a_folder_that_is_not_there_is_one_clear_line(tmp_path):
    """No traceback for a wrong path."""
    with pytest.raises(StorageError, match=r"nowhere.*outbox\.sqlite"):
        Outbox(tmp_path / "nowhere" / "outbox.sqlite", 1 << 20)


def test_what_was_put_survives_sigkill(tmp_path):
    """Each number that the child printed after `put` is there after it was killed."""
    code = (
        "import sys; from pathlib import Path\n"
        "from edge_agent.telemetry.outbox import Outbox, Parcel\n"
        "box = Outbox(Path(sys.argv[1]), 1 << 20)\n"
        "for n in range(10**6):\n"
        "    box.put([Parcel('up/events', str(n).encode())], cursor=('audit', n))\n"
        "    print(n, flush=True)\n"
    )
    path = tmp_path / "outbox.sqlite"
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True
    )
    for _ in range(50):
        last = int(child.stdout.readline())
    os.kill(child.pid, signal.SIGKILL)
    rest = child.communicate()[0].split()
    last = max([last, *map(int, rest[:-1])])
    box = Outbox(path, 1 << 20)
    found = numbers(box)
    assert found[: last + 1] == list(range(last + 1))
    assert box.cursor("audit") == found[-1]


def test_old_metrics_make_room_for_events_and_events_leave_last(tmp_path):
    """The exact victims, written out once."""
    box = Outbox(tmp_path / "outbox.sqlite", 5 * 164)
    box.put([parcel(0, EVENT), parcel(1), parcel(2), parcel(3, EVENT), parcel(4)])
    box.put([parcel(5, EVENT)])
    assert numbers(box) == [0, 2, 3, 4, 5]
    box.put([parcel(6, EVENT), parcel(7, EVENT), parcel(8, EVENT)])
    assert numbers(box) == [3, 5, 6, 7, 8]
    box.put([parcel(9)])
    assert (numbers(box), box.dropped) == ([3, 5, 6, 7, 8], 5)


class Clock:
    """Seconds that a test moves."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def test_age_is_counted_in_operation_and_metrics_go_first(tmp_path):
    """Across restarts, whatever the wall clock does; events last four times as long."""
    clock, path = Clock(), tmp_path / "outbox.sqlite"
    box = Outbox(path, 1 << 20, max_age_s=3600, clock=clock)
    box.put([parcel(0, EVENT), parcel(1)])
    clock.now += 1800
    box.put([parcel(2)])
    box.close()
    clock = Clock()  # a reboot: the clock begins anew
    box = Outbox(path, 1 << 20, max_age_s=3600, clock=clock)
    assert [round(item.age_s) for item in box.waiting(9)] == [1800, 1800, 0]
    clock.now += 1900
    box.put([parcel(3)])
    assert numbers(box) == [0, 2, 3]
    clock.now += 4 * 3600
    box.put([parcel(4)])
    assert (numbers(box), len(box), box.counts()["expired"], box.dropped) == ([4], 1, 4, 4)


def test_what_is_set_aside_is_kept_counted_and_goes_first(tmp_path):
    """It leaves the queue, comes back by topic or at the next opening, and makes room first."""
    path = tmp_path / "outbox.sqlite"
    box = Outbox(path, 5 * 164)
    box.put([parcel(n, EVENT) for n in range(3)])
    first, second, _ = box.waiting(3)
    box.set_aside([first.id, second.id, first.id], "denied")
    assert (numbers(box), box.aside, len(box), box.counts()["denied"]) == ([2], 2, 3, 2)
    assert box.release("up/other") == 0 and box.release("up/events") == 2
    assert (numbers(box), box.aside) == ([0, 1, 2], 0)
    box.set_aside([second.id], "oversize")
    box.put([parcel(3), parcel(4), parcel(5)])
    assert (numbers(box), box.aside, box.dropped) == ([0, 2, 3, 4, 5], 0, 1)
    box.set_aside([first.id], "denied")
    box.close()
    assert numbers(Outbox(path, 5 * 164)) == [0, 2, 3, 4, 5]


def test_one_huge_message_does_not_evict_the_others(outbox):
    """It is not kept, and counted."""
    outbox.put([parcel(1), Parcel("up/events", b"x" * (PAYLOAD_MOST + 1), priority=EVENT)])
    assert (numbers(outbox), outbox.counts()["oversize"]) == ([1], 1)


def test_another_versions_file_is_put_aside(tmp_path):
    """A device that went back to an older agent starts all the same."""
    path = tmp_path / "outbox.sqlite"
    Outbox(path, 1 << 20).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    box = Outbox(path, 1 << 20)
    box.put([parcel(1)])
    assert numbers(box) == [1] and path.with_name("outbox.sqlite.damaged").exists()
