"""Where frames wait for their model: inference in one thread, what comes after it in another.

A camera's thread prepares the next frame while the network runs on the one before, and detections
are decoded while it runs on the one after, so the network never waits for either. Cameras that
share a model share its lane; where the graph takes several pictures at once, those that wait go
together.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge_agent.backends.base import Outputs, Tensor
from edge_agent.bundle import InputSpec
from edge_agent.detection.detector import Detector, Result
from edge_agent.detection.preprocess import Canvas, Placement

SLOTS = 2
"""Frames of one camera that may be on their way: one runs, one is ready."""

_EARLY_S = 0.002
_SLOWLY = 0.1


class Canvases:
    """Inputs of the network for the frames that one camera has on their way."""

    def __init__(self, spec: InputSpec) -> None:
        self._free: queue.SimpleQueue[Canvas] = queue.SimpleQueue()
        for _ in range(SLOTS):
            self._free.put(Canvas(spec))

    def take(self, timeout_s: float | None = None) -> Canvas | None:
        """A free one; waits for it: this is what holds a camera back. None after the timeout."""
        try:
            return self._free.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def give_back(self, canvas: Canvas) -> None:
        """The frame is done."""
        self._free.put(canvas)

    def drain(self, timeout_s: float) -> bool:
        """Wait for all of them; False when that took too long."""
        deadline = time.monotonic() + timeout_s
        taken: list[Canvas] = []
        while len(taken) < SLOTS:
            canvas = self.take(max(0.0, deadline - time.monotonic()))
            if canvas is None:
                break
            taken.append(canvas)
        for canvas in taken:
            self.give_back(canvas)
        return len(taken) == SLOTS


@dataclass(frozen=True)
class Job:
    """One prepared frame.

    Attributes:
        tensor: (1, 3, h, w) float32; not touched until ``done`` was called.
        placement: where the picture lies in it.
        preprocess_ms: what preparing it took.
        done: called once, from the lane's thread, with the result or with what went wrong.
    """

    tensor: Tensor
    placement: Placement
    preprocess_ms: float
    done: Callable[[Result | Exception], None]


@dataclass(frozen=True)
class _Batch:
    jobs: Sequence[Job]
    outputs: Sequence[Outputs]
    infer_ms: float


class Lane:
    """The way of a release's frames through its detector; threads begin with the first job.

    Args:
        detector: used from the lane's threads only, once there was a job.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._batches: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._starting = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._began = 0.0
        self._usual_s = 0.0
        self._runs = self._told = 0
        self._unclaimed: Canvases | None = None
        self._canvases: list[Canvases] = []

    def canvases(self) -> Canvases:
        """The inputs of one more camera."""
        with self._starting:
            made = self._unclaimed or self._more()
            self._unclaimed = None
            return made

    def borrowed(self) -> Canvases:
        """Those of some camera, for who needs one now and then and would not keep memory for it."""
        with self._starting:
            if not self._canvases:
                self._unclaimed = self._more()
            return self._canvases[0]

    def _more(self) -> Canvases:
        self._canvases.append(Canvases(self._detector.manifest.input))
        return self._canvases[-1]

    def submit(self, job: Job) -> None:
        """Line up; returns at once. A camera lines up with at most `SLOTS` frames."""
        if not self._threads:
            self._start()
        self._jobs.put(job)

    def runs(self) -> int:
        """Runs of the network since this was asked the last time; asked from one thread."""
        before, self._told = self._told, self._runs
        return self._told - before

    def time_left_s(self) -> float:
        """Seconds until the network is likely to want the next frame; 0 when it waits for one.

        Who prepares a frame earlier than that prepares one that will be stale.
        """
        began = self._began
        if not began or not self._jobs.empty():
            return 0.0
        return max(0.0, began + self._usual_s - _EARLY_S - time.perf_counter())

    def close(self) -> None:
        """Finish what is lined up, end the threads and let go of the model."""
        ends: tuple[Callable[[None], None], ...] = (self._jobs.put, self._batches.put)
        for end, thread in zip(ends, self._threads, strict=False):
            end(None)  # the second stage ends when the first has handed over everything
            thread.join()
        self._detector.close()

    def _start(self) -> None:
        with self._starting:
            if not self._threads:
                self._threads = [
                    threading.Thread(target=work, name=name, daemon=True)
                    for work, name in ((self._infer, "infer"), (self._finish, "finish"))
                ]
                for thread in self._threads:
                    thread.start()

    def _infer(self) -> None:
        ending = False
        while not ending:
            jobs, ending = self._together()
            if jobs:
                self._run(jobs)
            del jobs  # or a frame's memory would wait for the next one

    def _run(self, jobs: Sequence[Job]) -> None:
        self._began = began = time.perf_counter()
        self._runs += 1
        try:
            outputs = self._detector.infer([job.tensor for job in jobs])
        except Exception as error:  # a runtime may raise anything; the next frame may do
            self._began = 0.0
            for job in jobs:
                job.done(error)
            return
        spent_s = time.perf_counter() - began
        self._began = 0.0
        self._usual_s += (spent_s - self._usual_s) * (_SLOWLY if self._usual_s else 1.0)
        self._batches.put(_Batch(jobs, outputs, spent_s * 1e3 / len(jobs)))

    def _together(self) -> tuple[list[Job], bool]:
        """Wait for the jobs of one run; whether the end was lined up behind them."""
        first = self._jobs.get()
        if first is None:
            return [], True
        jobs: list[Job] = [first]
        while len(jobs) < self._detector.max_batch:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                return jobs, True
            jobs.append(job)
        return jobs, False

    def _finish(self) -> None:
        while (batch := self._batches.get()) is not None:
            self._decode(batch)
            del batch

    def _decode(self, batch: _Batch) -> None:
        for job, outputs in zip(batch.jobs, batch.outputs, strict=True):
            try:
                result: Result | Exception = self._detector.finish(
                    outputs,
                    job.placement,
                    preprocess_ms=job.preprocess_ms,
                    infer_ms=batch.infer_ms,
                )
            except Exception as error:
                result = error
            job.done(result)
