"""Cameras that share a network with a free batch: a bundle of the builder in ONNX Runtime."""

from __future__ import annotations

import json
import threading
import time

import numpy as np
import pytest

from builder.build import build
from builder.options import BuildOptions
from edge_agent.backends.onnx import OnnxBackend
from edge_agent.detection.detector import Detector
from edge_agent.loop import loaded
from edge_agent.loop.judge import Judge
from edge_agent.loop.lane import SLOTS
from edge_agent.loop.loaded import Holder, load_release
from edge_agent.sources import Frame
from tests.builder.squares import write_squares
from tests.bundles import frame, make_bundle, write_frames
from tests.devices import MODEL, Device

CAMERAS = ("top", "left", "right")


@pytest.fixture(scope="module")
def free(tmp_path_factory):
    """Built from a checkpoint, with ``--batch dynamic``."""
    root = tmp_path_factory.mktemp("free")
    options = BuildOptions(
        reference_data=write_frames(root / "frames", 12),
        name=MODEL, batch="dynamic", prove="never",
    )  # fmt: skip
    bundle = build(str(write_squares(root / "squares.pt")), root / "bundle", options).bundle
    assert bundle.manifest.free_batch
    return bundle


class Runs:
    """How many pictures each run of ONNX Runtime got; a test may hold the runs."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.open = threading.Event()
        self.open.set()

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        run = OnnxBackend._run

        def noted(backend, tensor):
            self.sizes.append(len(tensor))
            assert self.open.wait(20)
            return run(backend, tensor)

        patch.setattr(OnnxBackend, "_run", noted)


@pytest.fixture
def runs(monkeypatch):
    runs = Runs()
    runs.watch(monkeypatch)
    return runs


def make_device(folder, cameras=CAMERAS, source=""):
    """A device whose cameras all belong to one model."""
    folder.mkdir(exist_ok=True)
    more = "".join(
        f'[[camera]]\nid = "{name}"\nsource = "{source or "dir:none"}"\nmodel = "{MODEL}"\n'
        for name in cameras[1:]
    )
    return Device(folder, source=source, camera=more)


@pytest.mark.parametrize(
    ("cameras", "sizes"), [(CAMERAS[:1], [2, 1, 1]), (CAMERAS, [4, 3, 2, 1, 1])]
)
def test_every_number_of_pictures_is_warm(tmp_path, free, runs, cameras, sizes):
    """As many as frames may wait, at most what the graph takes at once (`MAX_BATCH`)."""
    config = make_device(tmp_path, cameras).config
    load_release(config, config.models[0], free.root).lane.close()
    assert runs.sizes == sizes


def test_a_fixed_graph_is_warmed_with_one_picture(tmp_path, runs):
    """However many cameras there are."""
    config = make_device(tmp_path).config
    bundle = make_bundle(tmp_path / "fixed", profile=False)
    runs.sizes.clear()  # of the golden set
    load_release(config, config.models[0], bundle.root).lane.close()
    assert runs.sizes == [1, 1]


@pytest.mark.parametrize(("cameras", "pictures"), [(CAMERAS[:1], "2"), (CAMERAS, "4")])
def test_room_is_wanted_for_as_many(tmp_path, free, monkeypatch, cameras, pictures):
    """A release with a free batch is held back when there is no memory for its largest run."""
    device = make_device(tmp_path, cameras)
    model, digest = device.config.models[0], device.add(free)
    beside = load_release(device.config, model, free.root)
    monkeypatch.setattr(loaded, "room_for", lambda *asked: str(asked[-1]))
    assert loaded.room_beside(device.config, model, digest, beside) == pictures
    beside.lane.close()


def test_cameras_share_runs_and_see_what_each_sees_alone(tmp_path, free, runs):
    """The same boxes as one by one, from fewer runs than frames."""
    config = make_device(tmp_path).config
    release = load_release(config, config.models[0], free.root)
    holder = Holder()
    holder.swap(release)
    seen = {}

    def listen(one):
        seen[one.frame.camera, one.frame.seq] = one.result.detections.copy()

    judges = [
        Judge(camera, config.gate, holder, lambda *_: None, listeners=[listen])
        for camera in config.cameras
    ]
    runs.sizes.clear()
    runs.open.clear()  # the network is busy until every camera has lined up
    for number in range(SLOTS):
        for place, judge in enumerate(judges):
            judge.frame(picture(judge, place, number))
    runs.open.set()
    assert all(judge.drain(20) for judge in judges)
    frames = SLOTS * len(CAMERAS)
    assert sum(runs.sizes) == frames and max(runs.sizes) == 4 and len(runs.sizes) < frames
    assert release.lane.runs() == len(runs.sizes)
    assert sum(judge.inferred for judge in judges) == frames
    release.lane.close()
    alone = Detector.load(free, threads=1)
    for (camera, number), found in seen.items():
        wanted = alone.detect(frame(picture_number(CAMERAS.index(camera), number), squares=2))
        assert len(found) and found.shape == wanted.detections.shape
        assert np.allclose(found, wanted.detections, rtol=0, atol=1e-3)


def picture_number(place, number):
    """Every camera sees something else in each frame."""
    return 100 * place + number


def picture(judge, place, number):
    image = frame(picture_number(place, number), squares=2)
    return Frame(image, time.time(), number, CAMERAS[place])


def test_an_agent_with_three_quick_cameras_runs_less_often_than_it_judges(tmp_path, free):
    """As a process: the counter of runs in up/metrics/system stays below the judged frames."""
    source = f"dir:{write_frames(tmp_path / 'frames', 12)}?loop=1"
    device = make_device(tmp_path, source=source)
    device.commit(device.add(free))
    with device.agent() as agent:
        device.wait_health(lambda model: sum(one.inferred for one in model.windows) > 200)
        assert agent.stop() == 0, agent.text()
    lines = (device.layout.data / "telemetry.jsonl").read_text().splitlines()
    documents = [json.loads(line) for line in lines]
    last = [one["payload"] for one in documents if one["topic"].endswith("metrics/system")][-1]
    assert 100 < last["inference_calls_total"] < 0.9 * last["frames_inferred_total"]
    assert last["frames_errors_total"] == 0
