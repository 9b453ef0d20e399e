"""The golden self-test on the live engine: the bundle's own frames, in the lane between others.

The self-test before a switch runs in a child process; this one asks the very engine that judges the
camera's frames: weights that were damaged in memory, a driver that computes otherwise since it grew
hot. One golden frame is on its way at a time, and the next is lined up by a later tick, so a
camera's frame never waits for more than one of them.
"""

from __future__ import annotations

import hashlib
import queue
import time
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from edge_agent.bundle import Bundle
from edge_agent.checked import plural
from edge_agent.detection.detector import Result
from edge_agent.detection.golden import Golden
from edge_agent.detection.preprocess import Image, Letterbox
from edge_agent.detection.selftest import judge
from edge_agent.errors import BundleError, OutpostError, storage_errors
from edge_agent.loop.lane import Canvases, Job
from edge_agent.loop.loaded import Holder, Loaded

AGAIN_S = 30.0
"""Least time between two tests that somebody asks for."""

PATIENCE_S = 0.05
"""How long a tick waits for a camera to leave a canvas."""


@dataclass(frozen=True)
class Outcome:
    """What a test gave.

    Attributes:
        digest: of the release.
        failures: in words; empty when the golden set was reproduced.
        frames: golden frames that were asked.
        at: monotonic seconds at its beginning; what went wrong before it shows in it.
    """

    digest: str
    version: int
    failures: tuple[str, ...]
    frames: int
    at: float

    @property
    def ok(self) -> bool:
        """Whether the live engine says what the golden set says."""
        return not self.failures

    @property
    def text(self) -> str:
        """One sentence."""
        if self.ok:
            return f"the live engine reproduces its {plural(self.frames, 'golden frame')}"
        return f"the live engine does not reproduce its golden set: {'; '.join(self.failures[:3])}"


@dataclass
class _Round:
    """One test that is under way."""

    loaded: Loaded
    golden: Golden
    letterbox: Letterbox
    canvases: Canvases
    results: list[Result]
    began: float
    waiting: bool = False


class LiveSelfTest:
    """Tests the release that serves: at its start, every so often, and when somebody asks.

    Used from one thread; the lane's threads only put what came back into a queue.

    Args:
        holder: of the model.
        interval_s: seconds between two tests; 0 tests never, not even when asked.
        variant: of the model, as configured.
        clock: monotonic seconds.

    Attributes:
        outcome: of the last whole test of the release that serves, or None.
        trouble: why the last test could not be made, or "".
    """

    def __init__(
        self,
        holder: Holder,
        interval_s: float,
        variant: str = "auto",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.outcome: Outcome | None = None
        self.trouble = ""
        self._holder = holder
        self._interval_s = interval_s
        self._variant = variant
        self._clock = clock
        self._round: _Round | None = None
        self._back: queue.SimpleQueue[Result | Exception] = queue.SimpleQueue()
        self._digest = ""
        self._due = 0.0

    def ask(self) -> None:
        """Test soon, because something looks wrong."""
        since = self.outcome.at if self.outcome is not None else -AGAIN_S
        self._due = min(self._due, max(self._clock(), since + AGAIN_S))

    def tick(self) -> Outcome | None:
        """Line up the next golden frame when it is time; the outcome when the last one is done."""
        if not self._interval_s:
            return None
        current = self._holder.current
        if current is not None and current.digest != self._digest:
            self._digest, self.outcome, self._due = current.digest, None, self._clock()
        if self._round is None:
            if current is not None and self._clock() >= self._due:
                self._begin()
            return None
        return self._go_on(self._round)

    def close(self) -> None:
        """Forget what is under way."""
        if self._round is not None and not self._round.waiting:
            self._end(self._round)

    def _begin(self) -> None:
        loaded = self._holder.take()
        if loaded is None:
            return
        self._due = self._clock() + self._interval_s
        try:
            golden = read_golden(loaded.bundle, self._variant)
        except OutpostError as error:
            self.trouble = str(error)
            self._holder.give_back(loaded)
            return
        letterbox, canvases = loaded.detector.letterbox(), loaded.lane.borrowed()
        self._round = _Round(loaded, golden, letterbox, canvases, [], self._clock())
        self._next(self._round)

    def _next(self, round_: _Round) -> None:
        """Read and line up one frame; one that is damaged on the disk ends the test.

        A camera that is busy may keep all its canvases: then the next tick tries again.
        """
        canvas = round_.canvases.take(PATIENCE_S)
        if canvas is None:
            return
        frame = round_.golden.frames[len(round_.results)]
        try:
            picture = read_picture(round_.loaded.bundle, frame.file)
            tensor, placement = round_.letterbox(picture, canvas)
        except OutpostError as error:
            self.trouble = str(error)
            round_.canvases.give_back(canvas)
            self._end(round_)
            return

        def done(outcome: Result | Exception) -> None:
            round_.canvases.give_back(canvas)
            self._back.put(outcome)

        round_.waiting = True
        round_.loaded.lane.submit(Job(tensor, placement, 0.0, done))

    def _go_on(self, round_: _Round) -> Outcome | None:
        if not round_.waiting:
            self._next(round_)
            return None
        try:
            came = self._back.get_nowait()
        except queue.Empty:
            return None
        round_.waiting = False
        if isinstance(came, Exception):
            return self._finish(round_, (f"{type(came).__name__}: {came}",))
        round_.results.append(came)
        if round_.loaded is not self._holder.current:  # swapped meanwhile: nobody asks any more
            self._end(round_)
            return None
        if len(round_.results) < len(round_.golden.frames):
            self._next(round_)
            return None
        manifest = round_.loaded.bundle.manifest
        precision = manifest.variant(self._variant).precision
        failures = judge(round_.loaded.bundle, round_.golden, round_.results, precision)
        return self._finish(round_, failures)

    def _finish(self, round_: _Round, failures: tuple[str, ...]) -> Outcome:
        loaded, frames = round_.loaded, max(len(round_.results), 1)
        self.outcome = Outcome(loaded.digest, loaded.version, failures, frames, round_.began)
        self.trouble = ""
        self._end(round_)
        return self.outcome

    def _end(self, round_: _Round) -> None:
        self._round = None
        self._holder.give_back(round_.loaded)


def read_golden(bundle: Bundle, variant: str) -> Golden:
    """The expected detections, after their bytes were compared with the manifest.

    A damaged disk must not look like a damaged engine.

    Raises:
        BundleError: when they are not what was signed.
    """
    _bytes(bundle, bundle.manifest.golden_for(variant))
    return Golden.read(bundle, variant)


def read_picture(bundle: Bundle, file: str) -> Image:
    """One golden frame; raises `BundleError` when it is not what was signed."""
    data = np.frombuffer(_bytes(bundle, file), np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
    if picture is None:
        raise BundleError(f"{bundle.path(file)}: not a picture; install the release again")
    return np.asarray(picture, np.uint8)


def _bytes(bundle: Bundle, file: str) -> bytes:
    path = bundle.path(file)
    try:
        with storage_errors(path):
            data = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}; install the release again") from None
    if hashlib.sha256(data).hexdigest() != bundle.manifest.entry(file).sha256:
        raise BundleError(f"{path}: not the bytes that were signed; install the release again")
    return data
