"""What the page remembers of the cameras: references to the last frame, a point per second.

`CameraWatch.see` runs in the camera's thread, for every frame: it keeps references, adds up four
numbers, and once a second replaces a tuple. It copies no picture, encodes nothing and takes no
lock; readers in other threads take the references as they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from edge_agent.bundle import Bundle
from edge_agent.detection.decode import Limit
from edge_agent.detection.detector import Result
from edge_agent.gate import Verdict
from edge_agent.gate.standard import Still
from edge_agent.loop.loaded import Loaded
from edge_agent.loop.seen import Seen
from edge_agent.sources import Frame

POINTS = 180  # seconds of history that the page draws
Clock = Callable[[], float]


class Release(NamedTuple):
    """What may be kept of the release that judged a frame: nothing that holds a model's memory.

    Attributes:
        model: its name.
        bundle: folder and manifest.
        digest: of the release.
        ssim_min: threshold of this camera's gate, None without one.
        views: its learnt references by name.
        limit: score above which boxes are reported.
    """

    model: str
    bundle: Bundle
    digest: str
    ssim_min: float | None
    views: Mapping[str, Still]
    limit: Limit


class Look(NamedTuple):
    """One judged frame, by reference.

    Attributes:
        number: counts the camera's judged frames from 1; a source that is opened again goes on.
        at: seconds of the watch's clock.
        verdict: the gate's, None where there is no gate.
        result: the detector's, None when the gate kept the frame from it.
    """

    number: int
    at: float
    frame: Frame
    verdict: Verdict | None
    result: Result | None
    release: Release


class Point(NamedTuple):
    """One second of one camera.

    Attributes:
        second: since the watch began.
        frames: judged, those that the gate kept from the model included.
        latency_ms: mean of the inferred frames, None without one.
        ssim: the least, None without one.
        rejected: frames that the gate did not pass.
    """

    second: int
    frames: int
    latency_ms: float | None
    ssim: float | None
    rejected: int


class CameraWatch:
    """One camera, written by its thread alone.

    Attributes:
        last: the newest judged frame, None before the first.
        points: finished seconds, oldest first, at most `POINTS`; seconds without a frame are
            absent.
    """

    def __init__(self, clock: Clock, began: float) -> None:
        self.last: Look | None = None
        self.points: tuple[Point, ...] = ()
        self._clock = clock
        self._began = began
        self._first_at = 0.0
        self._number = 0
        self._release: Release | None = None
        self._ssim: float | None = None
        self._clear(0)

    @property
    def interval_s(self) -> float:
        """Mean time between two frames so far; 0 before there were two."""
        last = self.last
        if last is None or last.number < 2:
            return 0.0
        return (last.at - self._first_at) / (last.number - 1)

    def see(self, seen: Seen) -> None:
        """Take note of one frame."""
        now = self._clock()
        second = int(now - self._began)
        if second != self._second:
            self._turn(second)
        self._number += 1
        self._frames += 1
        verdict, result = seen.verdict, seen.result
        if result is not None:
            self._inferred += 1
            self._latency_ms += result.total_ms
        if verdict is not None:
            self._rejected += not verdict.passed
            if verdict.ssim is not None and (self._ssim is None or verdict.ssim < self._ssim):
                self._ssim = verdict.ssim
        release = self._release
        if release is None or release.digest != seen.loaded.digest:
            release = self._release = _release(seen.loaded, seen.frame.camera)
        self.last = Look(self._number, now, seen.frame, verdict, result, release)
        if self._number == 1:
            self._first_at = now

    def _turn(self, second: int) -> None:
        """Close the second that is over, begin the next."""
        if self._frames:
            latency_ms = self._latency_ms / self._inferred if self._inferred else None
            point = Point(self._second, self._frames, latency_ms, self._ssim, self._rejected)
            self.points = (*self.points[1 - POINTS :], point)
        self._clear(second)

    def _clear(self, second: int) -> None:
        self._second = second
        self._frames = self._inferred = self._rejected = 0
        self._latency_ms = 0.0
        self._ssim = None


class Watch:
    """All cameras; calling it with a `Seen` makes it a listener of `edge_agent.loop.judge`."""

    def __init__(self, cameras: Iterable[str], clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self.cameras: Mapping[str, CameraWatch] = {
            name: CameraWatch(clock, self._began) for name in cameras
        }

    @property
    def now(self) -> float:
        """Seconds of the clock that `Look.at` is in."""
        return self._clock()

    @property
    def second(self) -> int:
        """The present second, as in `Point.second`."""
        return int(self._clock() - self._began)

    def __call__(self, seen: Seen) -> None:
        """Take note of one frame of any camera."""
        camera = self.cameras.get(seen.frame.camera)
        if camera is not None:
            camera.see(seen)


def _release(loaded: Loaded, camera: str) -> Release:
    gate = loaded.gates.get(camera)
    least, views = (None, {}) if gate is None else (gate.ssim_min, gate.views)
    return Release(loaded.model, loaded.bundle, loaded.digest, least, views, loaded.limit)
