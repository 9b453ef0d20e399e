"""Bad input through the whole loop: each has a named, counted outcome, and the loop goes on.

What a full capture disk does is in `test_captures`, what single sources do with bad data in
`tests.edge_agent.sources`.
"""

from __future__ import annotations

import itertools
import json
import os

import numpy as np
import pytest

from edge_agent.loop.camera import FrameCounts
from edge_agent.sources.screen import (
    ALPHA,
    CLOCK_JUMP,
    DEPTH_16,
    EMPTY,
    GREY,
    NO_PICTURE,
    TOO_SMALL,
)
from tests.bundles import frame, make_bundle
from tests.devices import Device
from tests.edge_agent.loop.test_camera import Scene, Script
from tests.edge_agent.loop.test_camera_life import Life
from tests.edge_agent.sources.test_process import wait_for
from tests.edge_agent.sources.test_shm import name, put, write_ring  # noqa: F401 - a fixture


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("bad-input") / "v1")


@pytest.fixture(scope="session")
def plain(tmp_path_factory):
    """Without a reference: whatever the picture shows, it is judged."""
    return make_bundle(tmp_path_factory.mktemp("bad-input") / "plain", reference=False)


def rgba(picture):
    return np.dstack([picture, np.full(picture.shape[:2], 9, np.uint8)])


KEPT_BACK = [
    (np.zeros((0, 0, 3), np.uint8), EMPTY),
    (np.zeros((1, 1, 3), np.uint8), TOO_SMALL),
    (np.zeros((1, 1), np.uint16), TOO_SMALL),
    (np.full((48, 64, 3), np.nan, np.float32), NO_PICTURE),
    (None, NO_PICTURE),
]
CONVERTED = [
    (lambda picture: picture[:, :, 1], GREY),
    (rgba, ALPHA),
    (lambda picture: picture.astype(np.uint16) << 8, DEPTH_16),
]


def test_odd_frames_between_good_ones(tmp_path, bundle):
    """0x0, one pixel, 16-bit, grey, RGBA, no picture: each by its name, good ones as ever."""
    shown, wanted = [], {}
    for number, (odd, outcome) in enumerate(KEPT_BACK):
        shown += [odd, frame(number)]
        wanted[outcome] = wanted.get(outcome, 0) + 1
    for number, (convert, outcome) in enumerate(CONVERTED):
        shown += [convert(frame(number)), frame(number)]
        wanted[outcome] = 1
    bad, all_frames = len(KEPT_BACK), len(shown)
    scene = Scene(tmp_path, bundle, Script(shown), gate="enabled = false", detections=True)
    report = scene.play()
    assert scene.worker.report().outcomes == wanted
    assert scene.worker.counts == FrameCounts(all_frames, inferred=all_frames - bad, errors=bad)
    assert report.errors == 0  # they are no evidence against the release
    boxes = [
        message.payload["detections"] for message in scene.told if "detections" in message.payload
    ]
    assert len(boxes) == all_frames - bad
    for number, alpha_or_deep in ((1, -3), (2, -1)):  # what was converted shows the same squares
        assert boxes[alpha_or_deep - 1] == boxes[alpha_or_deep] == boxes[number]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_network_that_gives_nonsense_now_and_then(tmp_path, bundle, bad):
    """Counted as not finite; what is finite in the same output is used, the next frame is whole."""
    scene = Scene(tmp_path, bundle, Script([frame(1, squares=2)] * 6), detections=True)
    backend, runs = scene.loaded.detector._backend, []
    outputs = backend.outputs

    def poisoned(tensor):
        given = outputs(tensor)
        raw = given.raw
        runs.append(len(tensor))
        if len(runs) == 2:
            raw[0, :, :3] = bad  # some candidates
        if len(runs) == 4:
            raw[:] = bad
        return given

    backend.outputs = poisoned
    report = scene.play()
    assert (report.inferred, report.nonfinite, report.errors) == (6, 2, 0)
    boxes = [
        message.payload["detections"] for message in scene.told if "detections" in message.payload
    ]
    assert boxes[0] == boxes[1] == boxes[2] == boxes[4] == boxes[5] and boxes[0]
    assert boxes[3] == []
    assert np.isfinite(np.concatenate([np.asarray(one) for one in boxes if one])).all()


def test_a_network_that_raises(tmp_path, bundle, caplog):
    """An error of the frame and of the release's window, logged once."""
    scene = Scene(tmp_path, bundle, Script([frame(1)] * 5))
    backend, runs = scene.loaded.detector._backend, []
    outputs = backend.outputs

    def failing(tensor):
        runs.append(len(tensor))
        if len(runs) in (2, 3):
            raise RuntimeError("the driver fell over")
        return outputs(tensor)

    backend.outputs = failing
    report = scene.play()
    assert (report.inferred, report.errors) == (3, 2)
    assert scene.worker.counts == FrameCounts(captured=5, inferred=3, errors=2)
    assert sum("the driver fell over" in record.message for record in caplog.records) == 1


@pytest.mark.parametrize("capture", ["thread", "process"])
def test_a_source_that_lies_about_its_size(tmp_path, plain, name, capture):  # noqa: F811
    """More pixels than it has bytes for: counted; the true frame after it is judged."""
    path, numbers = write_ring(name), itertools.count(1)
    lie = {"width": 4000, "height": 4000, "row_bytes": 12000}
    with Life(tmp_path, plain, f"shm:{name}", policy="wait", capture=capture) as life:

        def shown(what, enough):
            """Write frames until the reader, which skips those before its start, has one."""
            put(path, next(numbers), **what)
            return enough()

        wait_for(lambda: shown(lie, lambda: "unusable_size_lie_total" in life.metrics()))
        wait_for(lambda: shown({}, lambda: life.worker.judge.inferred >= 3))
        metrics = life.metrics()
    assert metrics["unusable_total"] == metrics["unusable_size_lie_total"]
    assert life.worker.counts.errors == 0
    assert [kind for kind in life.kinds() if kind != "source.degraded"] == []


CLOCK = """
import pathlib, time
_real, _ahead = time.time, pathlib.Path(__file__).with_name("ahead")
time.time = lambda: _real() + float(_ahead.read_text())
"""


def test_a_clock_that_jumps(tmp_path, bundle, monkeypatch):
    """A year back and ten ahead: counted, every frame is judged, windows and the end as ever."""
    (tmp_path / "sitecustomize.py").write_text(CLOCK)
    ahead = tmp_path / "ahead"

    def jump(seconds):
        """In one step: the agent reads it at any time."""
        fresh = tmp_path / "fresh"
        fresh.write_text(str(seconds))
        os.replace(fresh, ahead)

    jump(0.0)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    device = Device(tmp_path, more="[capture]\nenabled = true\nreserve_mb = 0\n")
    device.commit(device.add(bundle))
    windows = []
    with device.agent() as agent:
        for seconds in (0.0, -3.2e7, 3.2e8):
            jump(seconds)
            before = windows[-1].seq if windows else 0
            model = device.wait_health(
                lambda m, least=before + 3: m.windows and m.windows[-1].seq > least
            )
            windows.append(model.windows[-1])
        assert agent.stop() == 0, agent.text()
    assert [round((window.at - windows[0].at) / 1e7) for window in windows] == [0, -3, 32]
    assert all(w.inferred > 0 and w.errors == w.dropped == 0 for w in windows)
    lines = (device.layout.data / "telemetry.jsonl").read_text().splitlines()
    documents = [json.loads(line) for line in lines]
    camera = [one["payload"] for one in documents if one["topic"].endswith("metrics/camera")][-1]
    assert camera[f"seen_{CLOCK_JUMP}_total"] == 2 and camera["unusable_total"] == 0
    system = [one["payload"] for one in documents if one["topic"].endswith("metrics/system")][-1]
    assert system["frames_errors_total"] == 0
    events = {one["payload"]["kind"] for one in documents if one["topic"].endswith("up/events")}
    assert not {"source.lost", "source.degraded", "gate.rejecting", "drift.suspected"} & events
