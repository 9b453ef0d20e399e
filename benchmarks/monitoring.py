"""What watching costs: everything but gate and inference per frame, and what closes a window.

The frames go the way that they go in the agent: into the window and its slices, the drift watch,
past those who look (captures with nothing to keep, rules' wishes, the page, the ring for
inspectors), and their detections to the door of a sink. Windows are closed by the agent's tick,
with every default rule, the health file and an outbox on disk, until all of it is written.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.counting import BOXES, SIDE, VERDICT
from benchmarks.rows import Row
from edge_agent.bundle import Bundle
from edge_agent.captures.recorder import open_recorder
from edge_agent.clerk import Clerks
from edge_agent.config import Config, parse
from edge_agent.detection.detector import Result
from edge_agent.detection.preprocess import Image
from edge_agent.drift.camera import Glance
from edge_agent.feedback.recent import Recent
from edge_agent.loop.agent import Agent
from edge_agent.loop.camera import CameraWorker
from edge_agent.loop.drifting import drift_watch
from edge_agent.loop.follow import FixedRelease
from edge_agent.loop.judge import Judge, detections_message
from edge_agent.loop.loaded import Loaded, load_release
from edge_agent.loop.obey import Snapshots
from edge_agent.loop.oversee import Overseer
from edge_agent.loop.runtime import Inbox, ModelRuntime
from edge_agent.loop.seen import Listener, Seen
from edge_agent.monitors.outliers import Usual
from edge_agent.monitors.profile import Profile
from edge_agent.monitors.windows import WindowCounter
from edge_agent.page.watch import Watch
from edge_agent.policy.desk import Clocks
from edge_agent.policy.wishes import Wishes
from edge_agent.sinks.base import Live
from edge_agent.sources import Frame
from edge_agent.telemetry.outbox import Outbox
from edge_agent.telemetry.voice import Telemetry

CAMERA = "tap"
FPS = 30
WINDOW_S = 10.0
FRAMES = 300
MANY = 80
_START_S = 1000.0


class Door:
    """A sink that stamps what is live, as MQTT's does, and sends nothing."""

    state = "connected"

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self.bytes = 0

    def start(self) -> None:
        """Nothing to begin."""

    def wake(self) -> None:
        """Nothing to fetch."""

    def live(self, message: Live) -> None:
        """The bytes that would go out."""
        self.bytes += len(self._telemetry.stamp_live(message.payload, message.model_version))

    def close(self, timeout_s: float) -> None:
        """Nothing to end."""


class Watched:
    """One agent in a folder, whose frames and clock the benchmark makes.

    Args:
        bundle: of the model.
        folder: for the outbox and the rest.
        classes: that the model has.
        sampled: count every frame for drift, not one per spacing.
    """

    def __init__(
        self, bundle: Bundle, folder: Path, classes: int, stack: ExitStack, *, sampled: bool
    ) -> None:
        self.now = _START_S
        self.classes = classes
        config = _config(folder, bundle.manifest.name, sampled=sampled)
        clerks = Clerks.start()
        self._clerks = clerks
        loaded = self.loaded = _with_classes(config, bundle, classes, self._clock, clerks)
        outbox = Outbox(config.layout.outbox, 256_000_000)
        stack.callback(outbox.close)
        stack.callback(clerks.run.close, 10.0)
        stack.callback(clerks.data.close, 10.0)
        telemetry = self._telemetry = Telemetry(outbox, "bench", disk=clerks.data)
        telemetry.attach(Door(telemetry))
        self.inbox = Inbox(2 * FRAMES)
        releases = FixedRelease(lambda: loaded)
        judge = Judge(config.cameras[0], config.gate, releases.holder, self.inbox.put)
        worker = CameraWorker(config.cameras[0], judge, releases.holder.wait, self.inbox.put)
        runtimes = [ModelRuntime(loaded.model, releases, [worker])]
        overseer = Overseer(
            config, runtimes, clocks=Clocks(self._clock, time.time), disk=clerks.data
        )
        telemetry.listen(overseer.heard)
        self._agent = Agent(
            config, runtimes, inbox=self.inbox, telemetry=telemetry, outbox=outbox, reporter=None,
            overseer=overseer, clerks=clerks, clock=self._clock,
        )  # fmt: skip
        self.listeners = self._listeners(config, stack)
        self.seq = 0

    def _clock(self) -> float:
        return self.now

    def _listeners(self, config: Config, stack: ExitStack) -> Sequence[Listener]:
        recorder = open_recorder(config, "bench", self.inbox.put)
        stack.callback(recorder.close, 10.0)
        recent = Recent(config.layout.feedback, 10_000_000, "bench")  # never started: only asked
        wishes = Wishes(recorder, 1.0)
        return (
            Snapshots(), Watch([CAMERA]), recent.listen,
            recorder.listener(CAMERA), wishes.listener(CAMERA),
        )  # fmt: skip

    def frame(self, image: Image, result: Result) -> None:
        """What happens to one frame after inference."""
        self.seq += 1
        self.now += 1.0 / FPS
        loaded, frame = self.loaded, Frame(image, time.time(), self.seq, CAMERA)
        size = (SIDE, SIDE)
        loaded.window.inferred(
            CAMERA, VERDICT, result, size=size, gate_ms=1.0, capture_ms=3.0, end_to_end_ms=50.0
        )
        statistics_, ssim = VERDICT.statistics, VERDICT.ssim
        loaded.drift.look(
            CAMERA,
            Glance(result.detections, size, statistics_, ssim, self.seq, frame.captured_at),
        )
        self.inbox.put(detections_message(frame, loaded, result), 1)
        seen = Seen(frame, VERDICT, result, loaded)
        for listener in self.listeners:
            listener(seen)

    def forward(self) -> None:
        """What the agent's loop does with what the frames left."""
        for message, version in self.inbox.take():
            self._telemetry.send([message], model_version=version)

    def close_window(self) -> None:
        """A tick in which a window is over; until everything of it is on disk."""
        self.now += WINDOW_S
        self._agent.tick()
        if not (self._clerks.data.settle(60.0) and self._clerks.run.settle(60.0)):
            raise RuntimeError("the disk does not answer")


def _config(folder: Path, model: str, *, sampled: bool) -> Config:
    document = {
        "device": {"id": "bench", "data": str(folder), "run": str(folder)},
        "model": [{"name": model, "threads": 1}],
        "camera": [{"id": CAMERA, "source": "dir:none", "model": model}],
        "capture": {"enabled": True},
        "drift": {"spacing_s": 0.0 if sampled else 5.0},
        "metrics": {"window_s": WINDOW_S, "detections": True},
        "policy": {"selftest_s": 0},  # that is inference
    }
    return parse(document, folder / "agent.toml")


def _with_classes(
    config: Config, bundle: Bundle, classes: int, clock: Callable[[], float], clerks: Clerks
) -> Loaded:
    """The release, as if its model had so many classes."""
    loaded = load_release(config, config.models[0], bundle.root, clock=clock, disk=clerks.data)
    manifest = replace(
        bundle.manifest, classes=tuple(f"class {number}" for number in range(classes))
    )
    profile = Profile.of(bundle, config.models[0].variant) if _same(bundle, classes) else None
    made = replace(
        loaded,
        bundle=Bundle(bundle.root, manifest),
        window=WindowCounter(
            classes,
            manifest.decode.confidence,
            usual=Usual(profile.histograms) if profile is not None else None,
        ),
        drift=drift_watch(config, config.models[0], manifest, profile, clock, clerks.data),
        limit=manifest.decode.confidence,
    )
    loaded.lane.close()
    return made


def _same(bundle: Bundle, classes: int) -> bool:
    return len(bundle.manifest.classes) == classes


def busy(classes: int, count: int = 16) -> list[Result]:
    """Frames of `BOXES` detections of all classes, scores above and below the threshold."""
    made = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        rows = np.empty((BOXES, 6), np.float32)
        rows[:, :2] = rng.uniform(0, 0.9 * SIDE, (BOXES, 2))
        rows[:, 2:4] = rows[:, :2] + rng.uniform(10, 100, (BOXES, 2))
        rows[:, 4] = np.sort(rng.uniform(0.06, 0.95, BOXES))[::-1]
        rows[:, 5] = rng.integers(0, classes, BOXES)
        made.append(Result(rows, False, 2.0, 40.0, 1.0))
    return made


def monitoring_ms(bundle: Bundle, folder: Path, *, rounds: int) -> Row:
    """Processor time of all monitoring per frame of 30 boxes, every frame counted for drift."""
    image, spent = np.zeros((SIDE, SIDE, 3), np.uint8), []
    with ExitStack() as stack:
        one = Watched(bundle, folder, len(bundle.manifest.classes), stack, sampled=True)
        results = busy(one.classes)
        for _ in range(rounds + 1):
            began = time.thread_time()
            for number in range(FRAMES):
                one.frame(image, results[number % len(results)])
            one.forward()
            spent.append((time.thread_time() - began) / FRAMES * 1e3)
            one.close_window()
    return Row("monitoring_ms", statistics.median(spent[1:]), "ms CPU per frame of 30 boxes")


def window_ms(bundle: Bundle, folder: Path, *, rounds: int) -> list[Row]:
    """Processor time of closing a window, with as many classes as the model has, and with 80."""
    few = len(bundle.manifest.classes)
    rows = []
    for name, classes in (("window_ms", few), ("window_80_ms", MANY)):
        (folder / name).mkdir()
        value = _window_ms(bundle, folder / name, classes, rounds)
        rows.append(Row(name, value, f"ms CPU to close a window of {classes} classes, all threads"))
    return rows


def _window_ms(bundle: Bundle, folder: Path, classes: int, rounds: int) -> float:
    image, spent = np.zeros((SIDE, SIDE, 3), np.uint8), []
    with ExitStack() as stack:
        one = Watched(bundle, folder, classes, stack, sampled=False)
        results = busy(classes)
        for _ in range(3 * rounds):
            for number in range(FRAMES):
                one.frame(image, results[number % len(results)])
            one.forward()
            began = time.process_time()
            one.close_window()
            spent.append((time.process_time() - began) * 1e3)
    return statistics.median(spent[rounds:])
