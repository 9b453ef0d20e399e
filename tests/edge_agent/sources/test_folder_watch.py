"""Watched folders: new pictures, each once, only whole ones."""

from __future__ import annotations

import os
import threading
import time

import cv2
import numpy as np
import pytest

from edge_agent.errors import SourceError
from edge_agent.sources import open_source
from edge_agent.sources.screen import ALPHA, UNREADABLE
from edge_agent.sources.watch import CLOSE_S, LIST_S, FolderWatch

OLD = time.time() - 3600


def encoded(level: int, suffix: str = ".png") -> bytes:
    return cv2.imencode(suffix, np.full((40, 50, 3), level, np.uint8))[1].tobytes()


def drop(folder, name: str, level: int, *, old: bool = False):
    """A picture that appears whole, as a careful program leaves it."""
    temporary = folder / f".{name}.part"
    temporary.write_bytes(encoded(level))
    if old:
        os.utime(temporary, (OLD, OLD))
    temporary.rename(folder / name)


def level(item) -> int:
    return int(item.image[3, 3, 0])


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "in"
    made.mkdir()
    return made


@pytest.fixture
def opened(folder):
    sources = []

    def open_one(options: str, **more):
        sources.append(open_source(f"dir:{folder}?{options}", "cam", **more))
        return sources[-1]

    yield open_one
    for source in sources:
        source.close()


@pytest.mark.parametrize("capture", ["thread", "process"])
def test_first_what_is_there_then_what_comes(folder, opened, capture):
    """Old files by name, new ones as they come; an empty folder is no fault."""
    drop(folder, "b.png", 2, old=True)
    drop(folder, "a.png", 1, old=True)
    source = opened("watch=1", capture=capture)
    assert [level(source.read()) for _ in range(2)] == [1, 2]
    drop(folder, "0.png", 3)
    assert level(source.read()) == 3
    drop(folder, "1.png", 4)
    item = source.read()
    assert (level(item), item.seq, source.finished) == (4, 4, False)


def test_only_new_ones(folder, opened):
    """`watch=new` leaves alone what was there."""
    drop(folder, "old.png", 1, old=True)
    source = opened("watch=new")
    drop(folder, "new.png", 2)
    assert level(source.read()) == 2


def test_a_name_that_is_written_again_is_a_new_picture(folder, opened):
    """Programs that keep one file: latest.png."""
    source = opened("watch=1")
    for number in (5, 6, 7):
        drop(folder, "latest.png", number)
        assert level(source.read()) == number


def test_a_file_is_not_read_before_it_is_closed(folder, opened):
    """Half a picture is not given, and not counted either: it is not ready."""
    source = opened("watch=1")
    data = encoded(8)
    with (folder / "slow.png").open("wb") as file:
        file.write(data[: len(data) // 2])
        file.flush()
        drop(folder, "other.png", 9)
        assert level(source.read()) == 9
        file.write(data[len(data) // 2 :])
    assert level(source.read()) == 8
    assert source.skipped == {}


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_truncated_picture_is_none(folder, opened, suffix):
    """Decoders would fill its rest with grey; it is counted, and the next one comes."""
    source = opened("watch=1")
    data = encoded(8, suffix)
    (folder / f"cut{suffix}").write_bytes(data[: len(data) * 2 // 3])
    drop(folder, "whole.png", 9)
    assert level(source.read()) == 9 and source.skipped == {UNREADABLE: 1}


def test_what_is_no_picture_is_passed_by(folder, opened):
    """Other names, hidden files, folders, pipes; rubbish under a picture's name is counted."""
    source = opened("watch=1")
    (folder / "notes.txt").write_text("x")
    (folder / ".hidden.png").write_bytes(encoded(1))
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    (folder / "rubbish.png").write_text("rubbish " * 20)
    (folder / "empty.png").write_bytes(b"")
    cv2.imwrite(str(folder / "z.png"), np.full((40, 50, 4), 9, np.uint8))
    assert level(source.read()) == 9
    assert source.skipped == {UNREADABLE: 2, ALPHA: 1}


def test_a_hand_over_does_not_fill_its_folder(folder, opened):
    """`remove=1` deletes what was read, and what cannot be read as well."""
    source = opened("watch=1&remove=1")
    for number in range(20):
        drop(folder, f"{number}.png", number)
        (folder / f"{number}.bad.jpg").write_text("rubbish" * 9)
        assert level(source.read()) == number
    drop(folder, "last.png", 99)
    source.read()
    assert [path.name for path in folder.iterdir()] == []


def test_a_folder_that_goes_is_lost(folder, opened):
    """An error that says so, at once."""
    source = opened("watch=1")
    folder.rmdir()
    with pytest.raises(SourceError, match=r"gone|No such file"):
        source.read()


def test_close_wakes_the_reader(opened):
    """Without waiting for a picture."""
    source = opened("watch=1")
    thread = threading.Thread(target=source.read)
    thread.start()
    source.close()
    thread.join(5)
    assert not thread.is_alive()


def next_name(watch: FolderWatch, seconds: float = 0.6) -> str | None:
    """What it gives within some of its looks; None when nothing is complete."""
    closed = threading.Event()
    timer = threading.Timer(seconds, closed.set)
    timer.start()
    found = watch.next(closed)
    timer.cancel()
    return found and found.name


def test_without_reports_it_looks_itself(folder):
    """Network folders report nothing: two equal listings make a file complete."""
    clock = [0.0]
    with (folder / "young.png").open("wb") as file:
        file.write(b"1")
        file.flush()
        watch = FolderWatch(folder, lambda name: True, clock=lambda: clock[0])
        assert next_name(watch) is None  # written just now: perhaps not whole
        file.write(b"2")
        file.flush()
        clock[0] += LIST_S
        assert next_name(watch) is None  # it has grown
        clock[0] += LIST_S
        assert next_name(watch) == "young.png"
        clock[0] += LIST_S
        assert next_name(watch) is None  # once
        watch.close()


def test_a_writer_that_pauses_is_waited_for(folder):
    """Two listings are not enough for a file that was seen to be made; closing it is."""
    clock = [0.0]
    watch = FolderWatch(folder, lambda name: True, clock=lambda: clock[0])
    with (folder / "slow.png").open("wb") as file:
        file.write(b"1")
        file.flush()
        for _ in range(3):
            assert next_name(watch, 0.3) is None
            clock[0] += LIST_S
    assert next_name(watch) == "slow.png"
    os.link(folder / "slow.png", folder / "linked.png")  # made, and never written to
    assert next_name(watch, 0.3) is None
    for _ in range(2):
        clock[0] += CLOSE_S
        found = next_name(watch, 0.3)
    assert found == "linked.png"
    watch.close()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ("watch=2", "one of 0, 1, new"),
        ("watch=1&loop=1", "goes neither with watch"),
        ("remove=1&loop=1", "goes neither with watch"),
        ("wacth=1", 'did you mean "watch"'),
    ],
)
def test_options_are_checked(opened, options, word):
    """Before anything is read or deleted."""
    with pytest.raises(SourceError, match=word):
        opened(options)


def test_a_missing_folder(tmp_path):
    """Is lost until somebody makes it."""
    with pytest.raises(SourceError, match="No such file"):
        open_source(f"dir:{tmp_path}/none?watch=1", "cam")
