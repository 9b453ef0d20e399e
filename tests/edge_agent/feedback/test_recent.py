"""The ring's writer: what judges leave is found by name; a bad disk costs no camera anything."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from edge_agent.detection.detector import Result
from edge_agent.feedback import recent
from edge_agent.feedback.frames import FrameKey
from edge_agent.feedback.recent import WAITING_MOST, Recent
from edge_agent.feedback.store import Store
from edge_agent.loop.loaded import load_release
from edge_agent.loop.seen import Seen
from edge_agent.sources import Frame
from tests.bundles import make_bundle
from tests.devices import Device

PICTURE = np.zeros((20, 20, 3), np.uint8)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recent")
    config = Device(folder / "device").config
    return load_release(config, config.models[0], make_bundle(folder / "v1").root)


def seen(loaded, seq, *rows, camera="top"):
    detections = np.asarray(rows, np.float32).reshape(-1, 6)
    return Seen(
        Frame(PICTURE, 50.0 + seq, seq, camera), None, Result(detections, False, 1, 1, 1), loaded
    )


def test_frames_are_found_after_the_writer_ends(tmp_path, loaded):
    """Two cameras, with what is reported and without what is below the threshold."""
    path = tmp_path / "feedback.sqlite"
    ring = Recent(path, 10**6, "b00c", flush_s=60)
    ring.start()
    for seq in range(1, 6):
        ring.listen(seen(loaded, seq, [1, 2, 9.06, 10, 0.875, 1], [0, 0, 5, 5, 0.06, 0]))
        ring.listen(seen(loaded, seq, camera="side"))
    ring.listen(Seen(Frame(PICTURE, 1.0, 9, "top"), None, None, loaded))
    ring.close(10)
    store = Store(path)
    frame = store.recent(FrameKey("top", "b00c", 3))
    (box,) = frame.boxes
    classes = loaded.bundle.manifest.classes
    assert (box.name, box.score, box.x0, box.x1) == (classes[1], 0.875, 1.0, 9.1)
    assert (frame.at, frame.classes, frame.model) == (53.0, classes, loaded.model)
    assert store.recent(FrameKey("side", "b00c", 5)).boxes == ()
    assert store.recent(FrameKey("top", "b00c", 9)) is None, "the model never saw it"
    assert ring.totals() == {"feedback_frames_lost_total": 0}
    store.close()


def test_a_detector_that_uses_its_array_again_changes_nothing(tmp_path, loaded):
    """What was reported is copied at once."""
    ring = Recent(tmp_path / "f.sqlite", 10**6, "b00c", flush_s=60)
    look = seen(loaded, 1, [0, 0, 9, 9, 0.9, 0])
    ring.listen(look)
    look.result.detections[:] = 0
    ring.start()
    ring.close(10)
    store = Store(tmp_path / "f.sqlite")
    assert store.recent(FrameKey("top", "b00c", 1)).boxes[0].x1 == 9.0
    store.close()


def test_a_folder_that_is_gone_is_logged_once_and_counted(tmp_path, loaded, caplog):
    """The frames are lost; the cameras do not notice."""
    ring = Recent(tmp_path / "gone/f.sqlite", 10**6, "b00c", flush_s=0.01)
    ring.start()
    deadline = time.monotonic() + 10
    while ring.totals()["feedback_frames_lost_total"] < 3 and time.monotonic() < deadline:
        ring.listen(seen(loaded, 1))
        threading.Event().wait(0.02)
    ring.close(10)
    assert ring.totals()["feedback_frames_lost_total"] >= 3
    (record,) = (one for one in caplog.records if one.name == recent.__name__)
    assert "not kept for feedback" in record.message


def test_a_disk_that_hangs_costs_frames_of_the_ring_only(tmp_path, loaded):
    """The writer never comes to write: the camera's side stays quick and bounded."""
    ring = Recent(tmp_path / "f.sqlite", 10**6, "b00c")
    look = seen(loaded, 1, *[[0, 0, 9, 9, 0.9, 0]] * 30)
    began = time.perf_counter()
    for _ in range(WAITING_MOST + 500):
        ring.listen(look)
    spent = time.perf_counter() - began
    assert ring.totals() == {"feedback_frames_lost_total": 500}
    assert spent / (WAITING_MOST + 500) < 0.0005
