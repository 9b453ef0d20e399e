"""The file: what was said stays, the ring turns, damage is told."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from edge_agent.errors import StorageError
from edge_agent.feedback import take
from edge_agent.feedback.frames import FrameKey
from edge_agent.feedback.store import Store
from edge_agent.feedback.take import gather
from tests.edge_agent.feedback.scenes import box, detected, said


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "feedback.sqlite")
    yield made
    made.close()


def frames(first, count, camera="top", boot="b00c"):
    return [
        detected(box("dent", seq % 50), box("scratch", 60, 5), seq=seq, camera=camera, boot=boot)
        for seq in range(first, first + count)
    ]


def test_recent_frames_are_found_by_name(store):
    """Camera, boot and number; a neighbour's number is another frame."""
    store.keep_recent(frames(1, 100), most_bytes=10**6)
    store.keep_recent(frames(1, 100, camera="side"), most_bytes=10**6)
    store.keep_recent(frames(50, 10, boot="aa"), most_bytes=10**6)
    found = store.recent(FrameKey("side", "b00c", 7))
    assert found == frames(7, 1, camera="side")[0]
    assert store.recent(FrameKey("top", "aa", 49)) is None
    assert store.recent(FrameKey("top", "aa", 50)).key.boot == "aa"


def test_the_ring_is_bounded_and_the_oldest_go(store, tmp_path):
    """However long it runs, the file stays about as large as it may."""
    most = 20_000
    for number in range(200):
        store.keep_recent(frames(1 + 100 * number, 100), most_bytes=most)
    assert store.recent(FrameKey("top", "b00c", 20_000)) is not None
    assert store.recent(FrameKey("top", "b00c", 1)) is None
    size = (
        sqlite3.connect(store.path)
        .execute("SELECT total(length(data) + 64) FROM recent")
        .fetchone()[0]
    )
    assert most / 2 < size <= most
    assert os.path.getsize(store.path) < 10 * most


def test_what_was_said_outlives_the_ring(store):
    """The frame of a word is copied beside it."""
    (frame,) = frames(5, 1)
    store.keep_recent([frame], most_bytes=10**6)
    taken = take(store, said("right", frame, by="ann", at=3.0, box=(5, 0, 15, 10)))
    assert taken.detected == frame
    store.keep_recent(frames(1000, 500), most_bytes=1)
    assert store.recent(frame.key) is None
    assert store.known() == {frame.key: frame}
    assert store.judgements() == [taken.judgement]


def test_the_newest_labels_count(store):
    """A picture that was labelled again is not two; the same labels again overrule nothing."""
    (frame,) = frames(5, 1)
    store.label(frame, [box("dent", 0)], source="a")
    for _ in range(2):
        store.label(frame, [box("scratch", 1), box("dent", 3)], source="b")
    assert store.labels() == ({frame.key: (box("scratch", 1), box("dent", 3))}, 1)
    assert gather(store)[1].overruled == 1


def test_words_are_ordered_by_when_they_were_said(store):
    """A message that was long on its way does not overrule what was said after it."""
    (frame,) = frames(5, 1)
    take(store, said("right", frame, at=200.0), detected=frame)
    take(store, said("wrong", frame, at=100.0), detected=frame)
    assert [judgement.verdict for judgement in store.judgements()] == ["wrong", "right"]
    pairs, evidence = gather(store)
    assert all(pair.truth == pair.detected for pair in pairs) and evidence.overruled == 2


def test_a_word_that_cannot_be_about_its_frame_is_left_out(store):
    """The frame was found later: no such class there, no such detection."""
    (frame,) = frames(5, 1)
    take(store, said("missed", frame, name="rust\x1b[31m"))
    take(store, said("right", frame, name="broken edge"))
    take(store, said("right", frame, name="dent"))
    assert gather(store)[1].unjoined == 3
    store.keep_recent([frame], most_bytes=10**6)
    pairs, evidence = gather(store)
    assert (evidence.unfit, evidence.unjoined, [pair.truth for pair in pairs]) == (2, 0, ["dent"])


def test_the_mark_moves_with_all_that_changes_figures(store):
    """A verdict, a label, a frame that was found; telling is remembered."""
    marks = [store.mark()]
    first, second = frames(5, 2)
    for change in (
        lambda: store.judge(said("right", first), None),
        lambda: store.label(second, [], source="a"),
        lambda: store.know(first),
    ):
        change()
        marks.append(store.mark())
    assert len(set(marks)) == 4 and store.told() == marks[0]
    store.note_told(marks[-1])
    store.keep_recent(frames(50, 3), most_bytes=10**6)
    assert store.mark() == store.told() == marks[-1]


@pytest.mark.parametrize("content", [b"rubbish" * 200, b"SQLite format 3\0" + b"\0" * 4000])
def test_a_damaged_file_is_told_in_one_line(tmp_path, content):
    """Words of people are not thrown away silently."""
    path = tmp_path / "feedback.sqlite"
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"feedback\.sqlite: "):
        Store(path).judgements()
    assert path.read_bytes()[:7] == content[:7]


def test_a_newer_schema_is_refused(tmp_path):
    """An older program must not write into what it does not know."""
    path = tmp_path / "feedback.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 9")
    with pytest.raises(StorageError, match="its schema is 9"):
        Store(path)


SCRIPT = """
import sys
from pathlib import Path
from edge_agent.feedback import Judgement, take
from edge_agent.feedback.frames import FrameKey
from edge_agent.feedback.store import Store
store = Store(Path(sys.argv[1]))
for seq in range(1, 10**6):
    take(store, Judgement(FrameKey("top", "b00c", seq), "right"))
    print(seq, flush=True)
"""


def test_what_was_taken_survives_sigkill(tmp_path):
    """Every word that was acknowledged is there, in order, and the file is sound."""
    path = tmp_path / "feedback.sqlite"
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(path)], stdout=subprocess.PIPE, text=True
    )
    acknowledged = [process.stdout.readline() for _ in range(40)]
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read().split()
    process.wait()
    process.stdout.close()
    last = int(rest[-1]) if rest else int(acknowledged[-1])
    store = Store(path)
    kept = [judgement.frame.seq for judgement in store.judgements()]
    store.close()
    assert kept[:last] == list(range(1, last + 1)) and len(kept) <= last + 1
