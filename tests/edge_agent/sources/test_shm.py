"""The ring in shared memory: a writer and a reader that share nothing else, and hostile rings."""

from __future__ import annotations

import os
import secrets
import signal
import struct
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from edge_agent.errors import SourceError
from edge_agent.sources import open_source
from edge_agent.sources.screen import (
    ALPHA,
    BAD_TIME,
    DEPTH_16,
    EMPTY,
    GREY,
    NO_PICTURE,
    OVERWRITTEN,
    SIZE_LIE,
    TOO_SMALL,
)
from edge_agent.sources.shm import (
    END_AT,
    FOLDER,
    HEAD_AT,
    MAGIC,
    RING,
    RING_BYTES,
    SLOT,
    SLOT_HEADER,
    VERSION,
    Writer,
)

HEIGHT, WIDTH = 48, 64
WRITER = """
import sys, time
from edge_agent.sources.shm import Writer
ring = Writer(sys.argv[1], slot_bytes=3 * 64 * 48)
level = 0
while True:
    level += 1
    ring.write(bytes([level % 256]) * (3 * 64 * 48), width=64, height=48)
    print(level, flush=True)
    time.sleep(0.005)
"""


@pytest.fixture
def name():
    """A ring's name that nobody uses; whatever is left under it goes."""
    made = f"outpost-test-{secrets.token_hex(4)}"
    yield made
    for path in FOLDER.glob(f"*{made}*"):
        path.unlink()


@pytest.fixture
def ring(name):
    with Writer(name, slot_bytes=WIDTH * HEIGHT * 4) as made:
        yield made


@pytest.fixture
def opened(name):
    """Opens the ring and closes it."""
    sources = []

    def open_one(**options):
        sources.append(open_source(f"shm:{name}", "cam", **options))
        return sources[-1]

    yield open_one
    for source in sources:
        source.close()


def picture(level: int = 9, channels: int = 3) -> np.ndarray:
    made = np.full((HEIGHT, WIDTH, channels), level, np.uint8)
    made[:, :, 0] = 200
    return made


def test_frames_as_they_were_written(ring, opened):
    """Pixels, size, time and number; the reader owns its copy."""
    source = opened()
    for level in (1, 2, 3):
        ring.write(picture(level), width=WIDTH, height=HEIGHT, captured_at=time.time() - 1)
        item = source.read()
        assert (item.image == picture(level)).all() and item.seq == level
        assert 0.9 < time.time() - item.captured_at < 30
        item.image[:] = 0
    assert source.skipped == {}


def test_only_what_comes_after_the_opening_is_given(ring, opened):
    """A ring may hold a picture from yesterday: that is no frame."""
    ring.write(picture(1), width=WIDTH, height=HEIGHT)
    source = opened()
    assert source.picture() is None
    ring.write(picture(2), width=WIDTH, height=HEIGHT)
    item = source.read()
    assert (item.image == picture(2)).all() and item.seq == 1


def test_a_ring_may_be_read_in_a_process_too(ring, opened):
    """Straight from one shared memory into the other."""
    source, done = opened(capture="process"), threading.Event()

    def write():
        while not done.wait(0.005):
            ring.write(picture(ring.frames % 100), width=WIDTH, height=HEIGHT)

    writer = threading.Thread(target=write)
    writer.start()
    items = [source.read() for _ in range(5)]
    done.set()
    writer.join(10)
    for item in items:
        assert (item.image == picture(int(item.image[0, 0, 1]))).all()


@pytest.mark.parametrize(
    ("form", "pixels", "want", "outcomes"),
    [
        ("RGB", picture()[:, :, ::-1], (200, 9, 9), {}),
        ("BGRA", picture(channels=4), (200, 9, 9), {ALPHA: 1}),
        ("RGBA", picture(channels=4), (9, 9, 200), {ALPHA: 1}),
        ("GREY", np.full((HEIGHT, WIDTH), 77, np.uint8), (77, 77, 77), {GREY: 1}),
        ("GREY16", np.full((HEIGHT, WIDTH), 0x4D11, "<u2"), (77, 77, 77), {GREY: 1, DEPTH_16: 1}),
    ],
)
def test_formats_become_bgr(ring, opened, form, pixels, want, outcomes):
    """Each conversion but that of the order is counted by name."""
    source = opened()
    ring.write(np.ascontiguousarray(pixels), width=WIDTH, height=HEIGHT, format=form)
    item = source.read()
    assert item.image.shape == (HEIGHT, WIDTH, 3) and item.image.dtype == np.uint8
    assert tuple(item.image[5, 5].tolist()) == want and source.skipped == outcomes


def test_rows_may_be_padded(ring, opened):
    """As most camera interfaces give them."""
    source = opened()
    padded = np.zeros((HEIGHT, WIDTH * 3 + 10), np.uint8)
    padded[:, : WIDTH * 3] = picture().reshape(HEIGHT, -1)
    ring.write(padded, width=WIDTH, height=HEIGHT, row_bytes=padded.shape[1])
    assert (source.read().image == picture()).all()


def test_a_slow_reader_misses_frames_and_counts_them(ring, opened):
    """The writer never waits; the reader goes on with the newest."""
    source = opened()
    for level in range(1, 11):
        ring.write(picture(level), width=WIDTH, height=HEIGHT)
    assert source.read().image[0, 0, 1] == 10
    assert source.skipped == {OVERWRITTEN: 9}


def test_a_writer_that_ends_is_a_loss_and_its_next_life_is_found(name, opened):
    """Its clean end removes the ring; a new ring under the name is read from its first frame."""
    with Writer(name, slot_bytes=WIDTH * HEIGHT * 3) as first:
        source = opened()
        first.write(picture(1), width=WIDTH, height=HEIGHT)
        assert source.read().image[0, 0, 1] == 1
    with pytest.raises(SourceError, match="is gone; start the program"):
        source.read()
    with Writer(name, slot_bytes=WIDTH * HEIGHT * 3):
        opened()


def test_a_ring_that_was_replaced_is_taken_up(name, opened):
    """The program was restarted, with larger pictures, while the agent reads."""
    first = Writer(name, slot_bytes=WIDTH * HEIGHT * 3)
    source = opened()
    first.write(picture(1), width=WIDTH, height=HEIGHT)
    source.read()
    first.close()
    with Writer(name, slot_bytes=4 * WIDTH * HEIGHT * 3) as second:
        large = np.full((2 * HEIGHT, 2 * WIDTH, 3), 2, np.uint8)
        second.write(large, width=2 * WIDTH, height=2 * HEIGHT)
        assert (source.read().image == large).all()


def test_a_killed_writer_leaves_nothing(name, opened):
    """kill -9: the reader notices by the lock, removes the ring and says so."""
    writer = subprocess.Popen([sys.executable, "-c", WRITER, name], stdout=subprocess.PIPE)
    writer.stdout.readline()
    source = opened()
    source.read()
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait(10)
    writer.stdout.close()
    with pytest.raises(SourceError, match="has lost its writer"):
        while True:
            source.read()
    assert not (FOLDER / name).exists()
    Writer(name, slot_bytes=99).close()


def test_one_writer_per_name(ring, name):
    """The second is refused, and the first goes on."""
    with pytest.raises(BlockingIOError):
        Writer(name, slot_bytes=100)
    ring.write(picture(), width=WIDTH, height=HEIGHT)


def test_a_writer_refuses_what_does_not_fit(ring):
    """Before a byte is written."""
    for pixels, options in [
        (b"x", {"width": WIDTH, "height": HEIGHT}),
        (bytes(10**6), {"width": 500, "height": 500}),
        (picture(), {"width": WIDTH, "height": HEIGHT, "format": "YUV"}),
        (picture(), {"width": WIDTH, "height": HEIGHT, "row_bytes": 5}),
    ]:
        with pytest.raises(ValueError, match="bytes"):
            ring.write(pixels, **options)
    for bad in ({"name": "../x"}, {"slots": 1}, {"slot_bytes": 0}, {"slot_bytes": 1 << 40}):
        with pytest.raises(ValueError, match=r"not possible|should be of letters"):
            Writer(**({"name": "outpost-test-x", "slot_bytes": 10} | bad))
    assert ring.frames == 0


def write_ring(name: str, *, magic=MAGIC, version=VERSION, slots=4, slot_bytes=4096, size=None):
    """A ring made by hand, as a hostile program would."""
    size = RING_BYTES + slots * slot_bytes if size is None else size
    path = FOLDER / name
    path.write_bytes(RING.pack(magic, version, slots, slot_bytes, 0)[:size])
    os.truncate(path, size)
    return path


@pytest.mark.parametrize(
    ("faults", "word"),
    [
        ({"magic": b"SOMEBODY"}, "not a ring of frames"),
        ({"version": 2}, "not a ring of frames of version 1"),
        ({"slots": 1, "size": 1 << 16}, "1 slots"),
        ({"slots": 2**32 - 1, "size": 1 << 16}, "which cannot be"),
        ({"slot_bytes": 64, "size": 1 << 16}, "64 bytes, which cannot be"),
        ({"slot_bytes": 2**63, "size": 1 << 16}, "which cannot be"),
        ({"size": 300}, "and is smaller"),
        ({"size": 10}, "not a ring of frames"),
    ],
)
def test_hostile_rings_are_refused(name, opened, faults, word):
    """A reader believes no number before it checked it."""
    write_ring(name, **faults)
    with pytest.raises(SourceError, match=word):
        opened(capture="thread")


def test_what_is_no_file_is_refused(name, opened, tmp_path):
    """A link, a folder or a pipe under the name; a missing one has its next step."""
    path = FOLDER / name
    with pytest.raises(SourceError, match="start the program that writes it"):
        opened()
    path.symlink_to(tmp_path / "x")
    with pytest.raises(SourceError, match="symbolic links"):
        opened()
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(SourceError, match="not a ring"):
        opened()
    with pytest.raises(SourceError, match="should be of letters"):
        open_source("shm:../../etc/passwd", "cam")


def put(path, number, *, width=8, height=8, row_bytes=24, form=1, at=None, end=None):
    """One frame's header by hand."""
    with path.open("r+b") as file:
        file.seek(RING_BYTES + (number - 1) % 4 * 4096)
        at = time.time() if at is None else at
        file.write(SLOT.pack(number, at, width, height, row_bytes, form, end or number))
        file.seek(HEAD_AT)
        file.write(struct.pack("<Q", number))


@pytest.mark.parametrize(
    ("faults", "outcome"),
    [
        ({"width": 0}, EMPTY),
        ({"height": 0}, EMPTY),
        ({"width": 1, "height": 1}, TOO_SMALL),
        ({"width": 2**32 - 1, "row_bytes": 24}, SIZE_LIE),
        ({"width": 1000, "height": 1000, "row_bytes": 3000}, SIZE_LIE),
        ({"height": 2**31}, SIZE_LIE),
        ({"row_bytes": 10}, SIZE_LIE),
        ({"form": 99}, NO_PICTURE),
        ({"end": 77}, OVERWRITTEN),
    ],
)
def test_hostile_frames_are_counted_and_the_next_one_comes(name, opened, faults, outcome):
    """Each by its name; nothing is raised and nothing outside of the slot is read."""
    path = write_ring(name)
    source = opened(capture="thread")
    put(path, 1, **faults)
    assert source.picture() is None and source.skipped == {outcome: 1}
    put(path, 2)
    item = source.read()
    assert item.image.shape == (8, 8, 3) and source.skipped == {outcome: 1}


@pytest.mark.parametrize("at", [float("nan"), float("inf"), -1.0, 1e300, 12.5])
def test_a_time_that_cannot_be_is_replaced(name, opened, at):
    """A camera's own clock is not the wall clock."""
    path = write_ring(name)
    source = opened(capture="thread")
    put(path, 1, at=at)
    assert abs(source.read().captured_at - time.time()) < 30
    assert source.skipped == {BAD_TIME: 1}


def test_a_ring_that_shrinks_is_a_loss_not_a_crash(name, opened):
    """It is read by system calls: there is no mapping that could fault."""
    path = write_ring(name)
    source = opened(capture="thread")
    put(path, 1)
    os.truncate(path, RING_BYTES + SLOT_HEADER)
    with pytest.raises(SourceError, match="cut short"):
        source.read()


def test_a_writer_needs_only_the_standard_library():
    """A program that owns a camera does not load a second OpenCV for us."""
    script = (
        "import sys; from edge_agent.sources.shm import Writer\n"
        "assert not {'numpy', 'cv2'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_layout_is_the_documented_one():
    """docs/formats.md gives these offsets to writers in other languages."""
    assert (RING_BYTES, HEAD_AT, SLOT_HEADER, END_AT) == (64, 24, 64, 32)
    assert (RING.size, SLOT.size) == (32, 40)
