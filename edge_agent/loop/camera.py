"""One camera: its source opened, kept alive and told about; its frames go to the judge."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from edge_agent.backoff import Backoff, Pace
from edge_agent.config import Camera
from edge_agent.errors import SourceError
from edge_agent.loop.judge import Judge, Tell
from edge_agent.metrics import event
from edge_agent.sources import Source, open_source
from edge_agent.sources.capture import Capture
from edge_agent.sources.screen import DROPS, POLICY_DROPS, UNUSABLE, Screen
from edge_agent.sources.state import (
    DOWN,
    FINISHED,
    FRAMES_LEAST,
    STEADY_S,
    WAITING,
    Sight,
    Standing,
    event_kind,
    lost,
    seen,
)

WAIT_S = 0.25
DRAIN_S = 10.0
LOOK_S = 0.25
OPENING_S = 10.0  # the first frame may take so much longer
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


@dataclass(frozen=True)
class CameraReport:
    """What there is to say of one camera.

    Attributes:
        standing: its state and the reason for it.
        captured: frames since the agent started.
        outcomes: frames by outcome (`edge_agent.sources.screen`), drops included.
        openings: how often its source was opened.
    """

    camera: str
    standing: Standing
    captured: int
    outcomes: dict[str, int]
    openings: int


class CameraWorker:
    """Brings a camera's frames to its judge and keeps the camera alive, in a thread of its own.

    Args:
        camera: the ``[[camera]]`` section.
        judge: what is done with each frame.
        ready: waits up to so many seconds for a release; whether one is there.
        tell: for events.
        opener: makes a source from its text; as the section says when None.
        backoff: between attempts to open a lost source.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        camera: Camera,
        judge: Judge,
        ready: Callable[[float], bool],
        tell: Tell,
        *,
        opener: OpenSource | None = None,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.camera = camera
        self.finished = False
        self.judge = judge
        self.standing = Standing()
        self._ready = ready
        self._tell = tell
        self._opener = opener or partial(
            open_source, capture=camera.capture, queue=camera.queue, hold=camera.policy == "wait"
        )
        self._clock = clock
        self._stall_s = camera.stall_s or None
        self._backoff = backoff or Backoff(0.5, 30.0)
        self._pace = Pace(camera.restarts_per_hour, clock=clock)
        self._stop = threading.Event()
        self._anew = threading.Event()
        self._counting = threading.Lock()
        self._screen = Screen()
        self._capture: Capture | None = None
        self._captured = 0
        self._outcomes: dict[str, int] = {}
        self._openings = 0
        self._last_seq = 0
        self._logged: set[str] = set()
        self._opened_at = self._came_at = clock()
        self._look_at = 0.0
        self._alive = 0
        self._looked = (0, 0)
        self._thread = threading.Thread(target=self._run, name=f"camera-{camera.id}", daemon=True)

    @property
    def state(self) -> str:
        """One of the states of `edge_agent.sources.state`."""
        return self.standing.state

    @property
    def counts(self) -> FrameCounts:
        """Frames so far, all openings of the source together."""
        judge, report = self.judge, self.report()
        return FrameCounts(
            report.captured,
            judge.inferred,
            judge.skipped,
            sum(report.outcomes.get(reason, 0) for reason in POLICY_DROPS),
            judge.errors + self._screen.unusable,
        )

    def report(self) -> CameraReport:
        """Everything about the camera since the agent started."""
        with self._counting:
            capture, captured, outcomes = self._capture, self._captured, dict(self._outcomes)
        if capture is not None:
            captured += capture.captured
            _add(outcomes, capture.drops, capture.source.skipped)
        _add(outcomes, self._screen.counts)
        return CameraReport(self.camera.id, self.standing, captured, outcomes, self._openings)

    def start(self) -> None:
        """Begin: wait for a release, then open the source."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end."""
        self._stop.set()
        capture = self._capture
        if capture is not None:
            capture.stop()

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
            except Exception as error:  # a driver may raise anything; the camera must come back
                if not self._stop.is_set():
                    self._lost(error)
            if not self.finished and not self._stop.is_set():
                self._stop.wait(max(self._backoff.next_s(), self._pace.wait_s()))

    def _serve(self) -> None:
        """Open the source and bring its frames until it ends, is lost or we stop."""
        self._openings += 1
        self._opened_at = self._came_at = self._clock()
        self._alive = 0
        self._looked = self._totals()  # what came before this opening says nothing of it
        source = self._opener(self.camera.source, self.camera.id)
        before = self._last_seq
        capture = Capture(
            source, policy=self.camera.policy, size=self.camera.queue, screen=self._screen
        )
        self._capture = capture.start()
        try:
            while not self._stop.is_set() and not self._anew.is_set():
                if self.camera.policy != "wait":
                    self._stop.wait(self.judge.pause_s)
                frame = capture.get(WAIT_S)
                self._look(capture, arrived=frame is not None)
                if frame is not None:
                    if before:  # a source counts anew; a frame's number shall stay its own
                        frame = replace(frame, seq=before + frame.seq)
                    self._last_seq = frame.seq
                    self.judge.frame(frame)
                    del frame  # or its memory would wait for the next one
                elif capture.finished and not self._stop.is_set():
                    self.judge.drain(DRAIN_S)
                    self.finished = True
                    self._stand(Standing(FINISHED))
                    return
        finally:
            if self._anew.is_set():
                self._anew.clear()
                self._stand(Standing(WAITING))
            capture.close(2.0)
            with self._counting:
                self._captured += capture.captured
                _add(self._outcomes, capture.drops, capture.source.skipped)
                self._capture = None
            self._named()

    def _look(self, capture: Capture, *, arrived: bool) -> None:
        """Judge the camera by what it gives; raises `SourceError` after too long a silence."""
        now = self._clock()
        if capture.captured != self._alive:
            self._alive, self._came_at = capture.captured, now
        silent_s = now - self._came_at
        back = arrived and self.state in (WAITING, DOWN)
        if back or now >= self._look_at:
            self._look_at = now + LOOK_S
            self._compare(silent_s, now, back=back)
        if self._stall_s is not None:
            limit_s = self._stall_s + (0.0 if self._alive else OPENING_S)
            if silent_s > limit_s:
                raise SourceError(f"no frame for {silent_s:.1f} s; its source is started again")

    def _compare(self, silent_s: float, now: float, *, back: bool) -> None:
        """Judge by what came since the last verdict, once that is enough."""
        usable, unusable = self._totals()
        sight = Sight(usable - self._looked[0], unusable - self._looked[1], silent_s, self._stall_s)
        enough = sight.usable + sight.unusable >= FRAMES_LEAST
        if back or enough or (self._stall_s is not None and silent_s > self._stall_s / 2):
            self._looked = (usable, unusable)
            self._stand(seen(self.standing, sight, now))

    def _totals(self) -> tuple[int, int]:
        """Usable and unusable frames since the agent started."""
        report = self._named()
        unusable = sum(report.outcomes.get(name, 0) for name in UNUSABLE)
        return report.captured - self._screen.unusable, unusable

    def _named(self) -> CameraReport:
        """The report; what is in it for the first time is logged, from then on only counted."""
        report = self.report()
        for outcome in report.outcomes.keys() - self._logged - set(DROPS):
            self._logged.add(outcome)
            log.warning("camera %s: first frame %s; counted from now on", self.camera.id, outcome)
        return report

    def _lost(self, error: Exception) -> None:
        if self._came_at - self._opened_at >= STEADY_S:
            self._backoff.reset()
        kind = "" if isinstance(error, SourceError) else f"{type(error).__name__}: "
        reason = kind + str(error).removeprefix(f"camera {self.camera.id}: ")
        self._stand(lost(self.standing, " ".join(reason.split()), self._clock()))

    def _stand(self, standing: Standing) -> None:
        """Take the new standing, and tell of it when its state is another one."""
        before, self.standing = self.standing, standing
        kind = event_kind(before, standing)
        if not kind:
            return
        severity, text = {
            "source.lost": ("error", standing.reason),
            "source.degraded": ("warning", standing.reason),
            "source.restored": ("info", "gives frames again"),
        }[kind]
        text = f"camera {self.camera.id}: {text}"
        log.log(logging.INFO if severity == "info" else logging.WARNING, "%s (%s)", text, kind)
        fields = {"camera": self.camera.id, "state": standing.state, "before": before.state}
        self._tell(event(kind, severity, text, **fields), 0)


def _add(whole: dict[str, int], *tallies: Mapping[str, int]) -> None:
    for tally in tallies:
        for name, count in dict(tally).items():  # a copy: the capture thread goes on counting
            whole[name] = whole.get(name, 0) + count
