"""One camera: its source opened, kept alive and told about; its frames go to the judge."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from edge_agent.backoff import Backoff
from edge_agent.config import Camera
from edge_agent.errors import SourceError
from edge_agent.loop.judge import Judge, Tell
from edge_agent.metrics import event
from edge_agent.sources import Source, open_source
from edge_agent.sources.capture import Capture

WAIT_S = 0.25
DRAIN_S = 10.0
log = logging.getLogger(__name__)

OpenSource = Callable[[str, str], Source]


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
    """Brings a camera's frames to its judge and keeps the camera alive, in a thread of its own.

    Args:
        camera: the ``[[camera]]`` section.
        judge: what is done with each frame.
        ready: waits up to so many seconds for a release; whether one is there.
        tell: for events.
        opener: makes a source from its text.
        backoff: between attempts to open a lost source.
    """

    def __init__(
        self,
        camera: Camera,
        judge: Judge,
        ready: Callable[[float], bool],
        tell: Tell,
        *,
        opener: OpenSource = open_source,
        backoff: Backoff | None = None,
    ) -> None:
        self.camera = camera
        self.state = "waiting"
        self.finished = False
        self.judge = judge
        self._ready = ready
        self._tell = tell
        self._opener = opener
        self._backoff = backoff or Backoff(0.5, 30.0)
        self._stop = threading.Event()
        self._anew = threading.Event()
        self._counting = threading.Lock()
        self._capture: Capture | None = None
        self._before = FrameCounts()
        self._thread = threading.Thread(target=self._run, name=f"camera-{camera.id}", daemon=True)

    @property
    def counts(self) -> FrameCounts:
        """Frames so far, all openings of the source together."""
        with self._counting:
            capture, before = self._capture, self._before
        now = FrameCounts(0, self.judge.inferred, self.judge.skipped, 0, self.judge.errors)
        if capture is not None:
            now += FrameCounts(captured=capture.captured, dropped=capture.dropped)
        return before + now

    def start(self) -> None:
        """Begin: wait for a release, then open the source."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end."""
        self._stop.set()
        capture = self._capture
        if capture is not None:
            capture.source.close()

    def restart(self) -> None:
        """Close the source and open it anew; what waits in its queue is dropped."""
        self._anew.set()

    def join(self, timeout_s: float) -> None:
        """Wait for the thread's end."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        # Nothing is captured before there is a model to look at it.
        while not self._stop.is_set() and not self._ready(WAIT_S):
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
            while not self._stop.is_set() and not self._anew.is_set():
                if self.camera.policy != "wait":
                    self._stop.wait(self.judge.pause_s)
                frame = capture.get(WAIT_S)
                if frame is not None:
                    self._arrived()
                    self.judge.frame(frame)
                elif capture.finished:
                    self.judge.drain(DRAIN_S)
                    self.finished = True
                    self.state = "finished"
                    return
        finally:
            if self._anew.is_set():
                self._anew.clear()
                self.state = "waiting"
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

    def _event(self, kind: str, severity: str, text: str) -> None:
        self._tell(event(kind, severity, text, camera=self.camera.id), 0)
