"""The agent's part: words are kept in a thread of their own, figures are told when they change."""

from __future__ import annotations

import threading
import time
from collections import deque

import pytest

from edge_agent.errors import StorageError, UsageError
from edge_agent.feedback import Judgement, take
from edge_agent.feedback import intake as module
from edge_agent.feedback.frames import FrameKey
from edge_agent.feedback.intake import WAITING_MOST, Intake
from edge_agent.feedback.performance import performance
from edge_agent.feedback.store import Store
from edge_agent.feedback.take import gather
from edge_agent.metrics import METRICS_PERFORMANCE
from tests.edge_agent.captures.export.shelves import some
from tests.edge_agent.feedback.scenes import NOON, box, detected, said
from tests.schemas import faults

ENVELOPE = {"v": 1, "ts": NOON, "boot": "b", "seq": 1}


class Desk:
    """An intake on a folder, and what it told."""

    def __init__(self, folder, **settings):
        self.path = folder / "feedback.sqlite"
        self.told, self.reminded = deque(), deque()
        self.intake = Intake(
            self.path,
            folder / "captures",
            frozenset({"top", "side"}),
            lambda message, version: self.told.append((message, version)),
            remind=lambda message, version: self.reminded.append((message, version)),
            times=lambda: {"top": 1.0},
            look_s=0.05,
            **settings,
        )

    def wait(self, count):
        deadline = time.monotonic() + 10
        while len(self.told) < count:
            assert time.monotonic() < deadline, self.told
            time.sleep(0.01)

    def wait_reminded(self):
        deadline = time.monotonic() + 10
        while not self.reminded:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def wait_noted(self):
        """Until the file says that what is in it was told."""
        store = Store(self.path)
        deadline = time.monotonic() + 10
        while store.told() != store.mark():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        store.close()


@pytest.fixture
def open_desk(tmp_path):
    desks = []

    def start(**settings):
        desks.append(Desk(tmp_path, **settings))
        desks[-1].intake.start()
        return desks[-1]

    yield start
    for desk in desks:
        desk.intake.close(10)


def payloads(desk):
    return {(m.payload["dimension"], m.payload["slice"]): m.payload for m, _ in desk.told}


def test_words_are_kept_and_figures_told(open_desk):
    """One message per slice, each as its schema says; the same figures are not told again."""
    desk = open_desk()
    frame = detected(box("dent", 0), box("broken edge", 40))
    words = [
        said("right", frame, box=(0, 0, 10, 10)),
        said("wrong", frame, name="broken edge", actual="scratch"),
    ]
    for word in words:
        assert desk.intake.put(word, frame).result(10).detected == frame
    desk.wait_noted()
    whole = payloads(desk)["all", "all"]
    assert (whole["right"], whole["wrong"], whole["missed"]) == (1, 1, 1)
    assert whole["precision_of_dent"] == 1.0 and whole["precision_of_broken_edge"] == 0.0
    assert whole["taken_scratch_for_broken_edge"] == 1
    assert whole["precision_looks"] == 2 and whole["precision_independent"] == 1.0
    assert "recall_of_broken_edge" not in whole, "nothing is known of it"
    assert set(payloads(desk)) >= {("all", "all"), ("camera", "top")}
    for message, version in desk.told:
        assert (message.suffix, version) == (METRICS_PERFORMANCE, 2)
        document = ENVELOPE | {"model_version": version} | message.payload
        assert faults("metrics_performance", document) == []
        assert faults("metrics_performance", document | {"precision": 1.5})
        assert faults("metrics_performance", document | {"note": "x"})
    before = len(desk.told)
    desk.intake.put(words[0], frame).result(10)
    desk.wait_noted()
    assert len(desk.told) == before, "it was said again and changed nothing"


def test_words_of_the_command_line_are_noticed(open_desk, tmp_path):
    """Another process writes into the file; also while no agent runs."""
    store = Store(tmp_path / "feedback.sqlite")
    frame = detected(box("dent", 0))
    take(store, said("right", frame), detected=frame)
    desk = open_desk()
    desk.wait(1)
    desk.wait_noted()
    store.label(detected(box("dent", 0), seq=2), [box("dent", 0), box("dent", 50)], source="a")
    desk.wait_noted()
    assert payloads(desk)["all", "all"]["missed_of_dent"] == 1
    desk.intake.close(10)
    assert not desk.reminded, "it was all news to this life"
    again = Desk(tmp_path)
    again.intake.start()
    again.wait_reminded()
    assert again.reminded[0][0].payload == payloads(desk)["all", "all"] and not again.told
    frame = detected(box("dent", 0), seq=3)
    again.intake.put(said("wrong", frame), frame).result(10)
    again.wait_noted()
    again.intake.close(10)
    store.close()
    wholes = [m.payload for m, _ in again.told if m.payload["dimension"] == "all"]
    assert [one["wrong"] for one in wholes] == [1], "what was told before is not told again"


def test_frames_among_the_captures_are_found(open_desk, tmp_path, monkeypatch):
    """Not at once, for a word must cost nothing; but soon, and then it is counted."""
    monkeypatch.setattr(module, "CAPTURES_S", 0.2)
    monkeypatch.setattr(module, "AGAIN_S", (0.1, 0.3))
    some(tmp_path / "captures")
    desk = open_desk()
    key = FrameKey("top", "b00c", 1)
    word = desk.intake.put(Judgement(key, "right", "scratch"))
    assert word.result(10).detected is None
    desk.wait(1)
    assert payloads(desk)["all", "all"]["right_of_scratch"] == 2


def test_a_frame_that_is_written_after_its_word(open_desk, tmp_path, monkeypatch):
    """The ring is written every few seconds; the word is counted then, without another one."""
    monkeypatch.setattr(module, "AGAIN_S", (0.2,) * 20)
    desk = open_desk()
    frame = detected(box("dent", 0))
    assert desk.intake.put(said("right", frame)).result(10).detected is None
    store = Store(desk.path)
    threading.Event().wait(0.3)
    assert len(desk.told) == 0 and store.told() != store.mark()
    store.keep_recent([frame], most_bytes=10**6)
    desk.wait(1)
    desk.wait_noted()
    store.close()
    assert payloads(desk)["all", "all"]["right"] == 1


def test_what_cannot_be_is_refused(open_desk, tmp_path):
    """The caller learns it; nothing is kept, and no file is made for nothing."""
    desk = open_desk()
    frame = detected(box("dent", 0))
    with pytest.raises(UsageError, match="not a camera of this device: side, top"):
        desk.intake.put(Judgement(FrameKey("attic", "ab", 1), "right"))
    assert not desk.path.exists()
    with pytest.raises(UsageError, match="no detection is meant"):
        desk.intake.put(said("wrong", frame, name="scratch"), frame).result(10)
    store = Store(desk.path)
    assert store.judgements() == [] and len(desk.told) == 0
    store.close()


def test_a_disk_that_refuses_is_told_to_each_and_logged_once(tmp_path, caplog):
    """The thread goes on; when the disk is well again, so is it."""
    folder = tmp_path / "gone"
    desk = Desk(folder)
    desk.intake.start()
    frame = detected(box("dent", 0))
    for _ in range(2):
        with pytest.raises(StorageError):
            desk.intake.put(said("right", frame), frame).result(10)
    folder.mkdir()
    desk.path.write_bytes(b"rubbish" * 300)
    deadline = time.monotonic() + 10
    while not any(one.name == module.__name__ for one in caplog.records):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    threading.Event().wait(0.3)
    assert len([one for one in caplog.records if one.name == module.__name__]) == 1
    desk.path.unlink()
    assert desk.intake.put(said("right", frame), frame).result(10).detected == frame
    desk.intake.close(10)


def test_too_many_words_are_refused_and_nobody_waits(tmp_path):
    """A thread that hangs on the disk: memory stays bounded."""
    desk = Desk(tmp_path)  # not started: nothing is ever kept
    frame = detected(box("dent", 0))
    for _ in range(WAITING_MOST):
        desk.intake.put(said("right", frame), frame)
    with pytest.raises(UsageError, match="64 verdicts wait"):
        desk.intake.put(said("right", frame), frame)


def test_each_release_has_figures_of_its_own(tmp_path):
    """Two versions, two messages for all; a version's slices are its own."""
    store = Store(tmp_path / "f.sqlite")
    for version, verdict in ((1, "right"), (2, "wrong")):
        frame = detected(box("dent", 0), seq=version, version=version)
        take(store, said(verdict, frame), detected=frame)
    told = list(performance(*gather(store)))
    store.close()
    wholes = [(v, m.payload["precision"]) for m, v in told if m.payload["dimension"] == "all"]
    assert wholes == [(1, 1.0), (2, 0.0)]
    assert {m.payload["dimension"] for m, _ in told} == {"all", "camera", "shift", "time"}
