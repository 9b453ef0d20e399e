"""Frames per second of the real agent beside a bare ONNX Runtime loop, and what it adds."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bare import bare_loop
from benchmarks.line import baseline, full_hd, pictures
from benchmarks.rows import Row, interleaved
from edge_agent.backends.base import Outputs, Tensor
from edge_agent.bundle import Bundle
from edge_agent.config import Config, parse
from edge_agent.detection.detector import Detector
from edge_agent.detection.preprocess import Image, Letterbox
from edge_agent.loop.agent import Agent
from edge_agent.loop.camera import CameraWorker
from edge_agent.loop.follow import FixedRelease
from edge_agent.loop.judge import Judge
from edge_agent.loop.loaded import Loaded, load_release
from edge_agent.loop.oversee import Overseer
from edge_agent.loop.runtime import Inbox, ModelRuntime
from edge_agent.sinks import SinkContext, make_sink
from edge_agent.sources import Frame
from edge_agent.telemetry.outbox import Outbox
from edge_agent.telemetry.voice import Telemetry

SLICE_S = 2.0


class Tap:
    """A source of ready pictures that flows only while it is open; costs next to nothing."""

    def __init__(self, images: Sequence[Image], camera: str) -> None:
        self.skipped: dict[str, int] = {}
        self.finished = False
        self.open = threading.Event()
        self._camera = camera
        self._images = itertools.cycle(images)
        self._seq = 0

    def read(self) -> Frame | None:
        """The next picture, as soon as the tap is open."""
        self.open.wait()
        if self.finished:
            return None
        self._seq += 1
        return Frame(next(self._images), time.time(), self._seq, self._camera)

    def close(self) -> None:
        """End."""
        self.finished = True
        self.open.set()


class Replay:
    """A backend that takes no time: it gives one recorded raw output again and again."""

    provider = wanted_provider = "replay"
    fallback_reason = ""
    max_batch = 1
    embeds = False

    def __init__(self, raw: Tensor) -> None:
        self._raw = raw
        self.input_shape: tuple[int, ...] = ()
        self.output_shape = raw.shape

    def outputs(self, tensor: Tensor) -> Outputs:
        """The recorded output."""
        return Outputs(self._raw)

    def run(self, tensor: Tensor) -> Tensor:
        """The same."""
        return self._raw

    def close(self) -> None:
        """Nothing to let go of."""


def config(folder: Path, model: str, *, detections: bool = True, selftest: bool = True) -> Config:
    """An agent.toml with every default, and a camera that waits for the model."""
    document: dict[str, Any] = {
        "device": {"id": "bench", "data": str(folder), "run": str(folder)},
        "model": [{"name": model}],
        "camera": [{"id": "tap", "source": "tap:", "model": model, "policy": "wait"}],
        "gate": {"action": "flag"},  # every frame is checked, and every frame is inferred
        "metrics": {"window_s": 1.0, "detections": detections},
    }
    if not selftest:
        document["policy"] = {"selftest_s": 0}
    return parse(document, folder / "agent.toml")


@contextmanager
def running(settings: Config, loaded: Loaded, tap: Tap) -> Iterator[CameraWorker]:
    """The whole agent with gate, monitors and telemetry (to a log file), fed by the tap."""
    with ExitStack() as stack:
        outbox = Outbox(settings.layout.outbox, 64_000_000)
        stack.callback(outbox.close)
        telemetry, inbox = Telemetry(outbox, "bench"), Inbox()
        context = SinkContext(settings, outbox, telemetry.boot, telemetry.stamp_live)
        telemetry.attach(make_sink(f"log:{settings.layout.data / 'log'}", context))
        stack.callback(telemetry.close, 1.0)
        releases = FixedRelease(lambda: loaded)
        camera, holder = settings.cameras[0], releases.holder
        judge = Judge(
            camera, settings.gate, holder, inbox.put, detections=settings.metrics.detections
        )
        worker = CameraWorker(
            camera, judge, holder.wait, inbox.put, opener=lambda spec, camera: tap
        )
        runtime = ModelRuntime(loaded.model, releases, [worker])
        overseer = Overseer(settings, [runtime])
        telemetry.listen(overseer.heard)
        agent = Agent(
            settings,
            [runtime],
            inbox=inbox,
            telemetry=telemetry,
            outbox=outbox,
            reporter=None,
            overseer=overseer,
        )
        thread = threading.Thread(target=agent.run)
        thread.start()
        try:
            yield worker
        finally:
            tap.close()
            agent.stop()
            thread.join()


def frames_per_s(worker: CameraWorker, tap: Tap) -> float:
    """How fast frames are inferred while the tap is open for a slice of time."""
    tap.open.set()
    _wait_for(worker, worker.counts.inferred + 3)
    before, began = worker.counts.inferred, time.perf_counter()
    time.sleep(SLICE_S)
    after, ended = worker.counts.inferred, time.perf_counter()
    tap.open.clear()
    time.sleep(0.1)  # what still waits in the queue is judged before the other side's turn
    return (after - before) / (ended - began)


def processor_ms(worker: CameraWorker, tap: Tap) -> float:
    """Processor time of this process per frame, over a slice of time."""
    before, began = worker.counts.inferred, time.process_time()
    frames_per_s(worker, tap)
    return (time.process_time() - began) / (worker.counts.inferred - before) * 1e3


def _wait_for(worker: CameraWorker, frames: int, limit_s: float = 60.0) -> None:
    deadline = time.monotonic() + limit_s
    while worker.counts.inferred < frames:
        if time.monotonic() > deadline:
            raise RuntimeError(f"the agent infers nothing: {worker.counts}")
        time.sleep(0.001)


def agent_fps(bundle: Bundle, folder: Path, *, rounds: int) -> Row:
    """The agent on ready pictures beside `session.run` on ready tensors."""
    images = pictures()
    letterbox = Letterbox(bundle.manifest.input)
    tensors = [letterbox(image)[0].copy() for image in images]
    settings = config(folder, bundle.manifest.name)
    tap = Tap(images, "tap")
    baseline(images).write(settings.layout.baseline("tap"))

    loaded = load_release(settings, settings.models[0], bundle.root)
    model = bundle.path(bundle.manifest.variant().path)
    with bare_loop(model, tensors, folder) as bare, running(settings, loaded, tap) as worker:
        ours, theirs = interleaved(lambda: frames_per_s(worker, tap), bare, rounds=rounds)
    return Row("agent_fps", ours, "frames/s", "bare onnxruntime session.run", theirs)


def busy(raw: Tensor, boxes: int = 30) -> Tensor:
    """A raw output of this shape with ``boxes`` objects, each found by a few neighbouring cells."""
    made = np.zeros_like(raw)
    cells = made if made.shape[1] > made.shape[2] else made.transpose(0, 2, 1)
    random = np.random.default_rng(0)
    for number in range(boxes):
        column, row = 60 + number % 6 * 95, 60 + number // 6 * 110
        first = number * 8 % (cells.shape[1] - 4)
        rows = slice(first, first + 4)
        cells[0, rows, :4] = np.array((column, row, 50, 40)) + random.normal(0, 1, (4, 4))
        cells[0, rows, 4:] = random.uniform(0, 0.04, (4, cells.shape[2] - 4))
        cells[0, rows, 4 + number % 3] = random.uniform(0.3, 0.9, 4)
    return made


def without_inference(loaded: Loaded, image: Image) -> Loaded:
    """The same release with an inference that takes no time and finds thirty objects."""
    tensor, _ = loaded.detector.letterbox()(image)
    (outputs,) = loaded.detector.infer([tensor])
    loaded.detector.close()
    return replace(loaded, detector=Detector(loaded.bundle.manifest, Replay(busy(outputs.raw))))


def overhead_ms(bundle: Bundle, folder: Path, *, rounds: int) -> Row:
    """Processor time of the whole agent per 1080p frame of 30 boxes, inference taking none."""
    images = full_hd()
    # The replay cannot reproduce a golden set.
    settings = config(folder, bundle.manifest.name, selftest=False)
    baseline(images).write(settings.layout.baseline("tap"))
    loaded = load_release(settings, settings.models[0], bundle.root)
    loaded = without_inference(loaded, images[0])
    tap = Tap(images, "tap")
    with running(settings, loaded, tap) as worker:
        (spent_ms,) = interleaved(lambda: processor_ms(worker, tap), rounds=rounds)
    return Row("overhead_ms", spent_ms, "ms CPU per 1080p frame of 30 boxes")
