"""The golden self-test on the live engine: the bundle's own frames, in the lane between others.

The self-test before a switch runs in a child process; this one asks the very engine that judges the
camera's frames: weights that were damaged in memory, a driver that computes otherwise since it grew
hot. One golden frame is on its way at a time, and the next is lined up by a later tick, so a
camera's frame never waits for more than one of them. The frames are read by whoever goes to the
disk; no tick waits for it.
"""

from __future__ import annotations

import hashlib
import queue
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np

from edge_agent.bundle import Bundle
from edge_agent.checked import plural
from edge_agent.clerk import AtOnce, Disk
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
    letterbox: Letterbox
    canvases: Canvases
    began: float
    golden: Golden | None = None
    picture: Image | None = None
    results: list[Result] = field(default_factory=list)
    waiting: bool = False


class LiveSelfTest:
    """Tests the release that serves: at its start, every so often, and when somebody asks.

    Used from one thread; the lane's threads only put what came back into a queue.

    Args:
        holder: of the model.
        interval_s: seconds between two tests; 0 tests never, not even when asked.
        variant: of the model, as configured.
        clock: monotonic seconds.
        disk: who reads the golden frames.

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
        *,
        disk: Disk | None = None,
    ) -> None:
        self.outcome: Outcome | None = None
        self.trouble = ""
        self._holder = holder
        self._interval_s = interval_s
        self._variant = variant
        self._clock = clock
        self._round: _Round | None = None
        self._back: queue.SimpleQueue[Result | Exception] = queue.SimpleQueue()
        self._disk = disk or AtOnce()
        self._read: queue.SimpleQueue[tuple[_Round, Golden | Image | OutpostError]]
        self._read = queue.SimpleQueue()
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
        letterbox, canvases = loaded.detector.letterbox(), loaded.lane.borrowed()
        round_ = self._round = _Round(loaded, letterbox, canvases, self._clock())
        self._fetch(round_, lambda: read_golden(loaded.bundle, self._variant))
        self._take_read()

    def _next(self, round_: _Round, golden: Golden) -> None:
        """Read one frame, then line it up."""
        file = golden.frames[len(round_.results)].file
        self._fetch(round_, lambda: read_picture(round_.loaded.bundle, file))
        self._take_read()

    def _fetch(self, round_: _Round, read: Callable[[], Golden | Image]) -> None:
        """Have something read; what comes of it is taken up by `_take_read`."""

        def errand() -> None:
            try:
                self._read.put((round_, read()))
            except OutpostError as error:
                self._read.put((round_, error))

        if not self._disk.do(f"golden {round_.loaded.model}", errand):
            self._end(round_)

    def _take_read(self) -> None:
        """Go on with what was read; what is damaged on the disk ends the test."""
        while not self._read.empty():
            round_, got = self._read.get()
            if round_ is not self._round:
                continue
            if isinstance(got, OutpostError):
                self.trouble = str(got)
                self._end(round_)
            elif isinstance(got, Golden):
                round_.golden = got
                self._next(round_, got)
            else:
                round_.picture = got
                self._line_up(round_, got)

    def _line_up(self, round_: _Round, picture: Image) -> None:
        """Send a frame to the network; a busy camera may keep all canvases until the next tick."""
        canvas = round_.canvases.take(PATIENCE_S)
        if canvas is None:
            return
        tensor, placement = round_.letterbox(picture, canvas)

        def done(outcome: Result | Exception) -> None:
            round_.canvases.give_back(canvas)
            self._back.put(outcome)

        round_.picture, round_.waiting = None, True
        round_.loaded.lane.submit(Job(tensor, placement, 0.0, done))

    def _go_on(self, round_: _Round) -> Outcome | None:
        if round_.picture is not None:
            self._line_up(round_, round_.picture)
        self._take_read()
        golden = round_.golden
        if golden is None or not round_.waiting:
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
        if len(round_.results) < len(golden.frames):
            self._next(round_, golden)
            return None
        manifest = round_.loaded.bundle.manifest
        precision = manifest.variant(self._variant).precision
        failures = judge(round_.loaded.bundle, golden, round_.results, precision)
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
