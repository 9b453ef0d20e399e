"""One camera's way: capture -> gate -> detector -> window, in a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from edge_agent.backoff import Backoff
from edge_agent.config import Camera
from edge_agent.config import Gate as GateSettings
from edge_agent.errors import SourceError
from edge_agent.gate import Hysteresis, Verdict
from edge_agent.loop.loaded import Holder, Loaded
from edge_agent.metrics import Message, event, numbers
from edge_agent.sources import Frame, Source, open_source
from edge_agent.sources.capture import Capture

WAIT_S = 0.25
KINDS_MOST = 32
log = logging.getLogger(__name__)

OpenSource = Callable[[str, str], Source]
Tell = Callable[[Message, int], None]
"""Takes a message and the model version that it is about; must not block."""


@dataclass(frozen=True)
class FrameCounts:
    """Frames of one camera since the agent started, by outcome."""

    captured: int = 0
    inferred: int = 0
    skipped: int = 0
    dropped: int = 0
    errors: int = 0

    def __add__(self, other: FrameCounts) -> FrameCounts:
        return FrameCounts(
            self.captured + other.captured,
            self.inferred + other.inferred,
            self.skipped + other.skipped,
            self.dropped + other.dropped,
            self.errors + other.errors,
        )


class CameraWorker:
    """Brings a camera's frames to its model and keeps the camera alive.

    Args:
        camera: the ``[[camera]]`` section.
        gate: the ``[gate]`` section.
        holder: where the model's release is found.
        tell: for events and, with ``detections``, each frame's boxes.
        detections: whether to tell each frame's boxes.
        opener: makes a source from its text.
        backoff: between attempts to open a lost source.
    """

    def __init__(
        self,
        camera: Camera,
        gate: GateSettings,
        holder: Holder,
        tell: Tell,
        *,
        detections: bool = False,
        opener: OpenSource = open_source,
        backoff: Backoff | None = None,
    ) -> None:
        self.camera = camera
        self.state = "waiting"
        self.finished = False
        self._gate = gate
        self._holder = holder
        self._tell = tell
        self._detections = detections
        self._opener = opener
        self._backoff = backoff or Backoff(0.5, 30.0)
        self._alarm = Hysteresis(gate.raise_after, gate.clear_after)
        self._stop = threading.Event()
        self._counting = threading.Lock()
        self._capture: Capture | None = None
        self._before = FrameCounts()
        self._inferred = self._skipped = self._errors = 0
        self._kinds: set[str] = set()
        self._thread = threading.Thread(target=self._run, name=f"camera-{camera.id}", daemon=True)

    @property
    def counts(self) -> FrameCounts:
        """Frames so far, all openings of the source together."""
        with self._counting:
            capture, before = self._capture, self._before
        now = FrameCounts(0, self._inferred, self._skipped, 0, self._errors)
        if capture is not None:
            now += FrameCounts(captured=capture.captured, dropped=capture.dropped)
        return before + now

    @property
    def rejecting(self) -> bool:
        """Whether the gate's alarm is raised."""
        return self._alarm.raised

    def start(self) -> None:
        """Begin: wait for a release, then open the source."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end."""
        self._stop.set()
        capture = self._capture
        if capture is not None:
            capture.source.close()

    def join(self, timeout_s: float) -> None:
        """Wait for the thread's end."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        # Nothing is captured before there is a model to look at it.
        while not self._stop.is_set() and not self._holder.wait(WAIT_S):
            pass
        while not self._stop.is_set() and not self.finished:
            try:
                self._serve()
            except SourceError as error:
                self._lost(str(error))
            except Exception as error:  # a driver may raise anything; the camera must come back
                self._lost(f"{type(error).__name__}: {error}")
            if not self.finished:
                self._stop.wait(self._backoff.next_s())

    def _serve(self) -> None:
        """Open the source and bring its frames until it ends, is lost or we stop."""
        source = self._opener(self.camera.source, self.camera.id)
        capture = Capture(source, policy=self.camera.policy, size=self.camera.queue)
        self._capture = capture.start()
        try:
            while not self._stop.is_set():
                frame = capture.get(WAIT_S)
                if frame is not None:
                    self._arrived()
                    self._frame(frame)
                elif capture.finished:
                    self.finished = True
                    self.state = "finished"
                    return
        finally:
            capture.close(0.5)
            with self._counting:
                self._before += FrameCounts(captured=capture.captured, dropped=capture.dropped)
                self._capture = None

    def _lost(self, reason: str) -> None:
        if self.state == "down":
            return
        self.state = "down"
        reason = reason.removeprefix(f"camera {self.camera.id}: ")
        log.warning("camera %s lost: %s", self.camera.id, reason)
        self._event("source.lost", "error", f"camera {self.camera.id}: {reason}")

    def _arrived(self) -> None:
        if self.state == "up":
            return
        if self.state == "down":
            log.info("camera %s is back", self.camera.id)
            self._event("source.restored", "info", f"camera {self.camera.id} gives frames again")
        self.state = "up"
        self._backoff.reset()

    def _frame(self, frame: Frame) -> None:
        with self._holder.use() as loaded:
            if loaded is None:
                self._skipped += 1
                return
            try:
                self._judge(loaded, frame)
            except Exception as error:
                self._errors += 1
                loaded.window.error()
                self._log_first(error)

    def _judge(self, loaded: Loaded, frame: Frame) -> None:
        began = time.perf_counter()
        gate = loaded.gates.get(self.camera.id)
        verdict = gate.check(frame.image) if gate is not None else None
        gate_ms = (time.perf_counter() - began) * 1e3
        if verdict is not None and gate is not None:
            self._watch(verdict, gate.ssim_min, loaded.version)
            if not verdict.passed and self._gate.action == "skip":
                self._skipped += 1
                loaded.window.skipped(self.camera.id, verdict, gate_ms)
                return
        with loaded.serial:
            result = loaded.detector.detect(frame.image)
        self._inferred += 1
        height, width = frame.image.shape[:2]
        loaded.window.inferred(
            self.camera.id, verdict, result, size=(width, height), gate_ms=gate_ms
        )
        if self._detections:
            boxes = [[round(value, 4) for value in row] for row in result.detections.tolist()]
            self._tell(_detections(self.camera.id, frame, boxes), loaded.version)

    def _watch(self, verdict: Verdict, least: float | None, version: int) -> None:
        """One event when the gate begins to reject, one when it is content again."""
        was, self._alarm = self._alarm.raised, self._alarm.update(verdict.passed)
        if self._alarm.raised == was:
            return
        evidence = numbers({"ssim": verdict.ssim, "threshold": least})
        if self._alarm.raised:
            text = f"camera {self.camera.id}: input problem, not the model: {verdict.text}"
            log.warning("%s", text)
            self._event("gate.rejecting", "warning", text, version, cause="camera", **evidence)
        else:
            text = f"camera {self.camera.id}: the picture is good again ({verdict.text})"
            log.info("%s", text)
            self._event("gate.cleared", "info", text, version, **evidence)

    def _event(
        self, kind: str, severity: str, text: str, version: int = 0, **fields: object
    ) -> None:
        self._tell(event(kind, severity, text, camera=self.camera.id, **fields), version)

    def _log_first(self, error: Exception) -> None:
        kind = f"{type(error).__name__}: {error}"[:80]
        if kind not in self._kinds and len(self._kinds) < KINDS_MOST:
            self._kinds.add(kind)
            log.error("camera %s: frame not judged (%s); counted from now on", self.camera.id, kind)


def _detections(camera: str, frame: Frame, boxes: list[list[float]]) -> Message:
    payload = {"frame": frame.seq, "captured_at": round(frame.captured_at, 3), "detections": boxes}
    return Message(f"up/detections/{camera}", payload, durable=False)
