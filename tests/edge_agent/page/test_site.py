"""State, releases and addresses of a site over a real release, journal and camera worker."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from edge_agent.loop.camera import CameraWorker
from edge_agent.loop.follow import FixedRelease
from edge_agent.loop.judge import Judge
from edge_agent.loop.runtime import ModelRuntime
from edge_agent.metrics import METRICS_OUTPUT, METRICS_SYSTEM, Message, event
from edge_agent.page.heard import Heard
from edge_agent.page.site import Site
from edge_agent.page.watch import Point, Watch
from edge_agent.slots import Ban, Slot, State
from edge_agent.sources.state import Standing
from tests.bundles import dirty, frame
from tests.devices import MODEL, Device

FORMATS = Path(__file__).parents[3] / "docs" / "formats.md"


class Scene:
    """A site whose camera's frames are judged by hand, one after another."""

    def __init__(self, folder, loaded, see):
        self.device = Device(folder)
        config = self.device.config
        self.now = 0.0  # the watch's clock, which a test may set
        self.watch, self.heard = Watch(["top"], lambda: self.now), Heard(lambda: self.now)
        releases = FixedRelease(lambda: loaded)
        judge = Judge(
            config.cameras[0], config.gate, releases.holder, self.tell, listeners=[self.watch]
        )
        self.worker = CameraWorker(config.cameras[0], judge, releases.holder.wait, self.tell)
        self.runtime = ModelRuntime(MODEL, releases, [self.worker])
        self.see = see
        self.site = Site(
            config,
            [self.runtime],
            watch=self.watch,
            heard=self.heard,
            journal=self.device.layout.journal,
            closing=threading.Event(),
            boot="b00c",
        )

    def tell(self, message, version):
        self.heard(message)

    def show(self, picture):
        self.worker.standing = Standing("up")
        self.worker.judge.frame(self.see(picture).frame)
        assert self.worker.judge.drain(10)

    def get(self, path, **query):
        answer = self.site(path, {name: str(value) for name, value in query.items()})
        assert answer.status == 200
        return json.loads(answer.body)


@pytest.fixture
def scene(tmp_path, loaded, see):
    return Scene(tmp_path, loaded, see)


def test_the_state_of_a_camera_that_sees(scene, loaded):
    """Frame, verdict, counts, release; all is well."""
    scene.show(frame(1))
    state = scene.get("/api/state")
    assert state["sentence"]["level"] == "fine" and state["problems"] == []
    (camera,) = state["cameras"]
    assert (camera["id"], camera["state"], camera["level"]) == ("top", "up", "fine")
    assert camera["frames"]["inferred"] == 1
    last = camera["last"]
    assert last["passed"] and last["ssim"] > last["ssim_min"] and last["latency_ms"] > 0
    (model,) = state["models"]
    assert (model["version"], model["digest"]) == (1, loaded.digest)
    assert (model["provider"], model["classes"]) == ("cpu", ["red", "green", "blue"])


def test_before_the_first_frame(scene):
    """Nothing is invented."""
    state = scene.get("/api/state")
    assert state["cameras"][0]["last"] is None and state["cameras"][0]["series"] == []
    assert state["system"] == {} and state["models"][0]["drift"]["features"] == []
    assert state["sentence"]["text"] == "Camera top has not given a frame yet."


def test_a_dirty_lens_is_the_sentence(scene):
    """Once the alarm is raised, with the gate's words; the event is listed."""
    for number in range(6):
        scene.show(dirty(frame(number)))
    state = scene.get("/api/state")
    assert state["sentence"]["level"] == "warning" and state["sentence"]["for_s"] >= 0
    assert state["sentence"]["text"].startswith("Camera top: SSIM ")
    camera = state["cameras"][0]
    assert camera["rejecting"] and camera["level"] == "warning"
    assert "latency_ms" not in camera["last"] and not camera["last"]["passed"]
    assert state["events"][0]["kind"] == "gate.rejecting"


def test_drift_and_windows_come_from_the_messages(scene):
    """The state shows the last windows and the verdicts so far."""
    scene.show(frame(1))
    payload = {"model": MODEL, "inferred": 9, "drift_block_frames": 7, "psi_frames": 300}
    scene.heard(Message(METRICS_OUTPUT, {**payload, "psi_score": 0.41, "psi_limit_score": 0.25}))
    scene.heard(Message(METRICS_SYSTEM, {"latency_p50_ms": 5.0, "cpu_percent": 31.0}))
    scene.heard(event("drift.suspected", "warning", "tiny: outputs differ", model=MODEL))
    scene.runtime.drifted = True
    state = scene.get("/api/state")
    drift = state["models"][0]["drift"]
    assert drift["suspected"] and drift["frames"] == 7
    assert drift["features"] == [{"name": "score", "psi": 0.41, "limit": 0.25}]
    assert [point[1:] for point in drift["series"]] == [["score", 0.41, 0.25]]
    assert state["system"]["cpu_percent"] == 31.0
    assert state["sentence"]["text"] == "tiny: outputs differ."


def test_only_new_points_are_sent_again(scene):
    """``after`` is the last second that the viewer has."""
    points = ((3, 10, 5.0, 0.9, 0), (4, 9, None, None, 9))
    scene.show(frame(1))
    scene.watch.cameras["top"].points = tuple(Point(*point) for point in points)
    series = [scene.get("/api/state", after=after)["cameras"][0]["series"] for after in (-1, 3, 4)]
    assert series == [[list(point) for point in points], [list(points[1])], []]
    for odd in ("x", "", "9" * 5000, "-3", "1e3"):
        assert len(scene.get("/api/state", after=odd)["cameras"][0]["series"]) == 2


def test_frames_per_second_are_of_finished_seconds(tmp_path, loaded, see):
    """Neither the second that runs nor one that no frame has finished yet counts as empty."""
    scene = Scene(tmp_path, loaded, see)
    camera = scene.watch.cameras["top"]
    points = [Point(second, 10, 5.0, 0.9, 0) for second in range(8)]
    rates = []
    for known, now in ((8, 8.9), (7, 8.1), (1, 2.5), (0, 0.5), (8, 12.5), (8, 60.0)):
        camera.points = tuple(points[:known])
        scene.now = now
        rates.append(scene.get("/api/state")["cameras"][0]["fps"])
    assert rates == [10.0, 10.0, 10.0, 0.0, 4.0, 0.0]


def test_documents_have_the_documented_fields(scene):
    """docs/formats.md names every field of both documents."""
    scene.show(frame(1))
    committed = Slot(MODEL, State.COMMITTED, committed="a" * 64)
    scene.device.journal.transition(committed, reason="installed")
    scene.device.journal.ban(Ban(MODEL, "b" * 64, "any", "no good", 1.0))
    scene.heard(Message(METRICS_OUTPUT, {"model": MODEL, "psi_score": 0.1, "psi_limit_score": 1.0}))
    for number in range(6):
        scene.show(dirty(frame(number)))
    text = FORMATS.read_text(encoding="utf-8")
    described = text[text.index("## The page") : text.index("## Exit codes")]

    def names(value):
        if isinstance(value, dict):
            for name, inner in value.items():
                yield name
                yield from names(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from names(inner)

    for path in ("/api/state", "/api/releases"):
        missing = [name for name in names(scene.get(path)) if f"`{name}`" not in described]
        assert missing == []


def test_releases_are_what_the_journal_says(scene):
    """State, bans and steps, newest first, with the versions' numbers."""
    journal, good, bad = scene.device.journal, "a" * 64, "b" * 64
    journal.remember_release(good, MODEL, 1)
    journal.remember_release(bad, MODEL, 2)
    journal.transition(Slot(MODEL, State.COMMITTED, committed=good), reason="good")
    trial = Slot(MODEL, State.TRIAL, committed=good, candidate=bad)
    journal.transition(trial, reason="live, on trial")
    back = Slot(MODEL, State.ROLLED_BACK, committed=good, candidate=bad)
    journal.transition(back, reason="13x the detections")
    journal.ban(Ban(MODEL, bad, "any", "13x the detections", 1.0))
    (model,) = scene.get("/api/releases")["models"]
    assert (model["state"], model["committed_version"]) == ("ROLLED_BACK", 1)
    assert [ban["version"] for ban in model["bans"]] == [2]
    steps = [(row["to"], row["version"]) for row in model["history"]]
    assert steps == [("ROLLED_BACK", 2), ("TRIAL", 2), ("COMMITTED", 1)]


def test_without_a_journal_there_is_no_history(scene, tmp_path):
    """A bundle's folder that is tried; and none is made by looking."""
    scene.device.journal.close()
    scene.device.layout.journal.unlink()
    assert scene.get("/api/releases") == {"v": 1, "models": []}
    assert not scene.device.layout.journal.exists()


def test_a_damaged_journal_is_said(scene):
    """The rest of the page goes on."""
    scene.device.journal.close()
    scene.device.layout.journal.write_bytes(b"not a database" * 100)
    answer = scene.site("/api/releases", {})
    assert answer.status == 503 and b"journal.sqlite" in answer.body


@pytest.mark.parametrize(
    "path",
    ["/cameras/side/live.jpg", "/cameras/top/live.png", "/cameras/../top/live.jpg", "/index.html",
     "/static/page.js", "/api", "/api/state/", "/cameras/top/", "/handler.py"],
)  # fmt: skip
def test_there_is_nothing_else(scene, path):
    """Names are looked up, never paths."""
    assert scene.site(path, {}) is None
