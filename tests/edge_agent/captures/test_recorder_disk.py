"""A disk that hangs, is full or refuses: counted by name, told once, and no frame waits."""

from __future__ import annotations

import errno
import logging
import time

import pytest

from edge_agent.captures.writer import STUCK_S, WAITING_FRAMES
from tests.edge_agent.captures.scene import DIRTY, Scene, wait_for
from tests.edge_agent.captures.simulator import SimulatedDisk


def test_a_hanging_disk_costs_captures_and_no_time(bundle):
    """First frames wait in memory, then they are busy, then the disk is called stuck."""
    scene = Scene(bundle, start=False)
    with scene.disk.hanging():
        scene.recorder.start()
        scene.disk.entered.acquire()
        began = time.monotonic()
        for _ in range(WAITING_FRAMES + 30):
            scene.listen(scene.frames.seen(said=DIRTY))
        assert time.monotonic() - began < 1.0
        assert scene.total("refused_busy") == 30
        scene.now += STUCK_S + 1
        for _ in range(5):
            scene.listen(scene.frames.seen(said=DIRTY))
        assert scene.total("refused_stuck") == 5
        assert scene.kinds() == ["capture.failing"]
        assert "has not answered for 10 s" in scene.told[0][0]["text"]
    scene.settle()
    assert scene.total("taken_check") == WAITING_FRAMES
    assert scene.kinds() == ["capture.failing", "capture.restored", "capture.taken"]


def test_a_disk_that_hangs_for_good_does_not_hold_the_end(bundle, caplog):
    """Closing gives up after its time and says so."""
    scene = Scene(bundle)
    with scene.disk.hanging():
        scene.listen(scene.frames.seen(said=DIRTY))
        began = time.monotonic()
        with caplog.at_level(logging.WARNING):
            scene.recorder.close(0.05)
        assert time.monotonic() - began < 2.0
        assert "the disk is slow" in caplog.text
        scene.listen(scene.frames.seen(said=DIRTY))
        assert scene.total("refused_busy") == 1
    scene.settle()


def test_a_full_disk_is_one_event_until_there_is_room(bundle):
    """Each frame is counted; the event says what to do."""
    scene = Scene(bundle, SimulatedDisk(capacity=4096), per_day=2, reason_share=1.0)
    for number in range(WAITING_FRAMES):
        scene.listen(scene.frames.seen(said=DIRTY))
        wait_for(lambda number=number: scene.total("refused_full") == number + 1)
    assert scene.total("refused_day") == 0, "what is not kept does not cost the day"
    assert scene.kinds() == ["capture.full"]
    scene.disk.capacity = 1 << 30
    scene.listen(scene.frames.seen(said=DIRTY))
    scene.settle()
    assert scene.kinds() == ["capture.full", "capture.restored", "capture.taken"]
    event = scene.told[0][0]
    assert event["severity"] == "warning" and "free space" in event["text"]


@pytest.mark.parametrize(
    ("number", "words"), [(errno.EROFS, "read-only"), (errno.EIO, "reports an error")]
)
def test_a_disk_that_refuses_is_one_event(bundle, number, words):
    """Another name than full, because another thing is to be done."""
    scene = Scene(bundle)
    scene.disk.refusal = number
    for _ in range(3):
        scene.listen(scene.frames.seen(said=DIRTY))
    scene.settle()
    assert (scene.total("refused_failed"), scene.total("taken_check")) == (3, 0)
    assert scene.kinds() == ["capture.failing"]
    assert words in scene.told[0][0]["text"] and scene.told[0][0]["severity"] == "error"


def test_a_disk_that_is_not_there_at_the_start_is_tried_again(bundle):
    """The folder cannot be opened; later it can."""
    disk = SimulatedDisk()
    disk.files["00000001_top_check.jpg"] = b"half"
    disk.refusal = errno.EROFS
    scene = Scene(bundle, disk)
    scene.listen(scene.frames.seen(said=DIRTY))
    scene.settle()
    assert scene.total("refused_failed") == 1
    disk.refusal = 0
    again = Scene(bundle, disk)
    again.listen(again.frames.seen(said=DIRTY))
    again.settle()
    assert sorted(disk.files) == ["00000002_top_check.jpg", "00000002_top_check.json"]


def test_frames_in_memory_are_few(bundle):
    """Large frames: the bytes that wait are limited, one always may."""
    scene = Scene(bundle, start=False)
    scene.frames.size = (2160, 3840)
    with scene.disk.hanging():
        scene.recorder.start()
        scene.disk.entered.acquire()
        for _ in range(4):
            scene.listen(scene.frames.seen(said=DIRTY))
        assert scene.total("refused_busy") == 3
    scene.settle()
    assert scene.total("taken_check") == 1
