"""Capture processes: the same frames, no copies, and nothing left behind whoever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agent.errors import SourceError
from edge_agent.sources import Source, open_source
from edge_agent.sources.screen import ALPHA, GREY, NO_SLOT, UNREADABLE
from tests.bundles import HEIGHT, WIDTH, frame, write_clip, write_frames

PARENT = """
import sys, time
from edge_agent.sources import open_source
source = open_source(sys.argv[1], "cam", capture="process")
kept = source.read()
print(source.pid, flush=True)
time.sleep(600)
"""


def wait_for(condition, timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s} s"
        time.sleep(0.01)


def gone(pid: int) -> bool:
    """Whether a process ended; it may still wait for its parent to notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX"
    except FileNotFoundError:
        return True


def read_all(source: Source) -> list:
    frames = []
    while (item := source.read()) is not None:
        frames.append(item)
    return frames


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip") / "a.avi", 30)


@pytest.fixture
def live(tmp_path):
    """A source without an end, at 200 frames per second."""
    return f"dir:{write_frames(tmp_path / 'live', 4)}?loop=1&fps=200"


@pytest.fixture
def opened():
    """Opens capture processes and ends them."""
    sources = []

    def open_one(text: str, **options):
        sources.append(open_source(text, "cam", capture="process", **options))
        return sources[-1]

    yield open_one
    for source in sources:
        source.close()


def test_the_frames_are_those_of_the_source(clip, opened):
    """To the last pixel and number, also while all of them are kept; then the end."""
    text = f"file:{clip}?speed=max"
    here = read_all(open_source(text, "cam", capture="thread"))
    source = opened(text, hold=True)
    there = read_all(source)
    assert source.finished and source.read() is None
    assert [item.seq for item in there] == list(range(1, 31)) == [item.seq for item in here]
    assert all((a.image == b.image).all() for a, b in zip(here, there, strict=True))
    assert all(item.image.shape == (HEIGHT, WIDTH, 3) for item in there)
    assert all(abs(item.captured_at - time.time()) < 60 for item in there)


def test_pictures_are_not_copied_unless_many_are_kept(live, opened):
    """Kept ones are copies from the point on at which the camera would run out of memory."""
    source = opened(live)
    lent = [source.read() for _ in range(3)]
    assert not any(item.image.flags.owndata for item in lent)
    kept = lent + [source.read() for _ in range(20)]
    assert all(item.image.flags.owndata for item in kept[5:])
    del lent, kept
    assert not source.read().image.flags.owndata


def test_a_view_keeps_its_picture(live, opened):
    """A crop outlives its frame and does not change with the next ones."""
    source = opened(live, hold=True)
    crop = source.read().image[10:20, 10:20]
    before = crop.copy()
    for _ in range(40):
        source.read()
    assert (crop == before).all() and not crop.flags.owndata


def test_a_larger_picture_gets_larger_memory(tmp_path, opened):
    """The size may change from frame to frame; frames before it stay whole."""
    sizes = [(72, 96), (480, 640), (20, 30), (1080, 1920)]
    for number, (height, width) in enumerate(sizes):
        picture = np.full((height, width, 3), 10 * number, np.uint8)
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture)
    frames = read_all(opened(f"dir:{tmp_path}", hold=True))
    assert [item.image.shape[:2] for item in frames] == sizes
    assert [int(item.image.max()) for item in frames] == [0, 10, 20, 30]


def test_outcomes_come_along(tmp_path, opened):
    """What the child counts is known here at the latest with the end."""
    cv2.imwrite(str(tmp_path / "a.png"), np.full((20, 20), 9, np.uint8))
    cv2.imwrite(str(tmp_path / "b.png"), np.full((20, 20, 4), 9, np.uint8))
    (tmp_path / "c.png").write_text("no picture")
    source = opened(f"dir:{tmp_path}", hold=True)
    assert len(read_all(source)) == 2
    assert source.skipped == {GREY: 1, ALPHA: 1, UNREADABLE: 1}


def test_a_reader_that_is_too_slow_is_counted(clip, opened):
    """Without `hold` the child lets frames go, and their numbers are missing here."""
    source = opened(f"file:{clip}?speed=max&loop=1")
    kept, seqs = [], []
    wait_for(lambda: kept.append(source.read()) or NO_SLOT in source.skipped)
    seqs = [item.seq for item in kept]
    assert seqs == sorted(set(seqs)) and len(seqs) < seqs[-1]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("fil:clip.mp4", 'did you mean "file"'),
        ("file:/nowhere/clip.mp4", "no such file"),
        ("dir:/nowhere", "No such file or directory"),
    ],
)
def test_what_cannot_be_opened_is_said_by_the_first_read(text, word, opened):
    """In one line, with the camera's id, as without a process."""
    with pytest.raises(SourceError, match=word) as caught:
        opened(text).read()
    assert "camera cam: " in str(caught.value) and "\n" not in str(caught.value)


def test_a_password_is_not_shown_by_ps(opened):
    """The address goes to the child over the socket."""
    source = opened("rtsp://user:secret@127.0.0.1:1/x")
    line = Path(f"/proc/{source.pid}/cmdline")
    wait_for(lambda: b"edge_agent.sources.child" in line.read_bytes())
    assert b"secret" not in line.read_bytes()
    with pytest.raises(SourceError) as caught:
        source.read()
    assert "secret" not in str(caught.value) and "127.0.0.1:1" in str(caught.value)


def test_a_killed_child_is_noticed_at_once(live, opened):
    """With the signal's name; frames that were lent stay readable."""
    source = opened(live)
    kept = source.read()
    before = kept.image.copy()
    os.kill(source.pid, signal.SIGKILL)
    with pytest.raises(SourceError, match="its capture process ended by SIGKILL"):
        for _ in range(1000):
            source.read()
    assert (kept.image == before).all()


def test_a_hung_child_is_killed(live, opened):
    """A stopped process is what a driver that does not return looks like from outside."""
    source = opened(live)
    source.read()
    os.kill(source.pid, signal.SIGSTOP)
    source.close()
    assert gone(source.pid)
    assert source.read() is None


def test_a_child_ends_by_itself_when_closed(live, opened):
    """It is not killed: it could let go of its camera."""
    source = opened(live)
    source.read()
    began = time.monotonic()
    source.close()
    assert gone(source.pid) and time.monotonic() - began < 5


@pytest.mark.parametrize("hung", [False, True])
def test_a_child_dies_with_its_parent(live, hung):
    """SIGKILL of the parent ends the child, also one that hangs, and leaves no memory behind."""
    before = set(os.listdir("/dev/shm"))
    parent = subprocess.Popen([sys.executable, "-c", PARENT, live], stdout=subprocess.PIPE)
    pid = int(parent.stdout.readline())
    if hung:
        os.kill(pid, signal.SIGSTOP)
    parent.kill()
    parent.wait(10)
    parent.stdout.close()
    wait_for(lambda: gone(pid))
    assert set(os.listdir("/dev/shm")) <= before


def test_openings_leave_nothing_behind(live):
    """No descriptor, no process, no shared memory after many restarts."""

    def once() -> int:
        source = open_source(live, "cam", capture="process")
        source.read()
        source.close()
        return source.pid

    once()
    before, shared = len(os.listdir("/proc/self/fd")), set(os.listdir("/dev/shm"))
    pids = [once() for _ in range(4)]
    assert all(gone(pid) for pid in pids)
    assert len(os.listdir("/proc/self/fd")) == before
    assert set(os.listdir("/dev/shm")) <= shared


def test_a_capture_process_is_small(live, opened):
    """No detector, no runtime, no telemetry in it."""
    source = opened(live)
    source.read()
    maps = Path(f"/proc/{source.pid}/maps").read_text()
    assert "onnxruntime" not in maps and "paho" not in maps and "_sqlite3" not in maps


def test_signals_are_for_the_parent(live, opened):
    """Ctrl-C and a service manager's SIGTERM reach the whole group; only the agent decides."""
    source = opened(live)
    source.read()
    os.kill(source.pid, signal.SIGTERM)
    os.kill(source.pid, signal.SIGINT)
    seqs = [source.read().seq for _ in range(20)]
    assert seqs == sorted(seqs) and not gone(source.pid)


def test_the_demo_picture_survives_the_way(tmp_path, opened):
    """A lossless picture is the same array on the other side."""
    cv2.imwrite(str(tmp_path / "a.png"), frame(3))
    (only,) = read_all(opened(f"dir:{tmp_path}", hold=True))
    assert (only.image == frame(3)).all()
