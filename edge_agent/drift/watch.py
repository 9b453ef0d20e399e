"""Frames in, verdicts out: what the agent holds for a release. Counting never waits for judging.

`look` is called for each frame that the gate passed and the model judged; it counts one frame per
spacing and does little else. `settle` is called by the agent's loop: it judges full blocks and
writes the history down, where no frame waits for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edge_agent.detection.decode import Floats
from edge_agent.drift import memory
from edge_agent.drift.baseline import Ints
from edge_agent.drift.history import FIRST_SAMPLES, Block, History, Rules
from edge_agent.drift.layout import Layout, only_outputs, values_of
from edge_agent.drift.sampling import Spacing
from edge_agent.drift.skew import SkewMonitor, SkewVerdict
from edge_agent.drift.verdict import BLOCK, LEAST_SAMPLES, Standing, Verdict
from edge_agent.errors import StorageError
from edge_agent.gate.statistics import Statistics
from edge_agent.monitors.histogram import Histograms
from edge_agent.monitors.observe import observe_input, observe_output, picture_values

log = logging.getLogger(__name__)
_PACE_OF = ("luminance", "contrast", "detections_per_frame", "score")
"""Statistics that every frame has, by which it is learnt how long frames resemble each other."""


@dataclass(frozen=True)
class Glance:
    """One frame as the drift sees it.

    Attributes:
        detections: (n, 6), down to the decode floor.
        size: width and height of the picture in pixels.
        statistics: of the picture, None where there is no gate.
        ssim: likeness to the reference, None without one.
        seq: number of the frame.
        at: wall-clock seconds at which it was captured.
        embedded: features of its embedding; empty without one.
    """

    detections: Floats
    size: tuple[int, int]
    statistics: Statistics | None
    ssim: float | None
    seq: int
    at: float
    embedded: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Judged:
    """One block of one camera after its verdict.

    Attributes:
        verdict: of the block.
        before, after: the standing of the alarm.
        history: the memory it came from.
    """

    camera: str
    verdict: Verdict
    before: Standing
    after: Standing
    history: History


class CameraWatch:
    """One camera of one release.

    Args:
        camera: id.
        layout: of the counts.
        rules: the camera's part of the budget.
        spacing_s: seconds between frames that count; None learns it.
        path: where the history is kept.

    Attributes:
        trouble: why the history could not be written the last time, or "".
    """

    def __init__(
        self, camera: str, layout: Layout, rules: Rules, spacing_s: float | None, path: Path
    ) -> None:
        self.camera = camera
        self._layout = layout
        self._rules = rules
        self._path = path
        self.history, remembered_s = _remembered(path, layout)
        known_s = spacing_s if spacing_s is not None else remembered_s
        self.spacing = Spacing(known_s, len(_PACE_OF))
        self._next = 0.0
        self._began: float | None = None
        self._frames: dict[int, int] = {}
        self._counts: dict[int, Ints] = {}
        self._gathered = 0
        self._full: list[Block] = []
        self.trouble = ""

    @property
    def progress(self) -> tuple[int, int]:
        """Sampled frames so far, and how many the next step needs: a baseline, then a verdict."""
        history = self.history
        waiting = self._gathered + BLOCK * len(self._full)
        if history.learning:
            return history.baseline.samples + waiting, FIRST_SAMPLES
        return min(LEAST_SAMPLES, history.samples + waiting), LEAST_SAMPLES

    def look(self, frame: Glance, confidence: float, now: float) -> bool:
        """Take a frame at a monotonic time; whether it counts."""
        if self.spacing.seconds is None:
            self.spacing.add(now, _pace_values(frame, confidence))
            return False
        if now < self._next:
            return False
        self._next = now + self.spacing.seconds
        if self._began is None:
            self._began = now
        hour = time.localtime(frame.at).tm_hour
        if hour not in self._counts:
            self._frames[hour], self._counts[hour] = 0, np.zeros(self._layout.size, np.int64)
        values = values_of(
            frame.detections,
            confidence=confidence,
            size=frame.size,
            statistics=frame.statistics,
            ssim=frame.ssim,
            seq=frame.seq,
            embedded=frame.embedded,
        )
        self._counts[hour][self._layout.indices(values)] += 1
        self._frames[hour] += 1
        self._gathered += 1
        if self._gathered == BLOCK:
            self._full.append(Block(self._frames, self._counts, now - self._began))
            self._frames, self._counts, self._gathered, self._began = {}, {}, 0, now
        return True

    def take(self) -> list[Block]:
        """The full blocks, handed out once."""
        full, self._full = self._full, []
        return full

    def judge(self, blocks: list[Block]) -> list[Judged]:
        """Verdicts of full blocks; the history is then written down."""
        told = []
        for block in blocks:
            before = self.history.standing
            verdict = self.history.add(block, self._rules)
            if verdict is not None:
                after = self.history.standing
                told.append(Judged(self.camera, verdict, before, after, self.history))
        if blocks:
            try:
                memory.write(self._path, self.history, self.spacing.seconds)
                self.trouble = ""
            except StorageError as error:
                self.trouble = f"{error}; what is usual for camera {self.camera} is not kept"
        return told


def _remembered(path: Path, layout: Layout) -> tuple[History, float | None]:
    """What was written down; a damaged file must not keep the device from inferring."""
    try:
        known = memory.read(path, layout)
    except StorageError as error:
        log.error("%s", error)
        known = None
    return known if known is not None else (History.begin(layout), None)


def _pace_values(frame: Glance, confidence: float) -> list[float]:
    scores = frame.detections[:, 4]
    seen, nothing = frame.statistics, float("nan")
    return [
        seen.luminance if seen is not None else nothing,
        seen.contrast if seen is not None else nothing,
        float((scores > confidence).sum()),
        float(scores[0]) if len(scores) else 0.0,
    ]


class DriftWatch:
    """All cameras of one release, and the profile.

    Args:
        cameras: id -> watch.
        skew: of all cameras together against the bundle's profile.
        own: the same of each camera by itself; told, and no alarm.
        classes: of the model.
        confidence: the manifest's, by which the profile was counted.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        cameras: Mapping[str, CameraWatch],
        skew: SkewMonitor,
        *,
        classes: int,
        confidence: float,
        own: Mapping[str, SkewMonitor] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.cameras = dict(cameras)
        self.skew = skew
        self.own = dict(own or {})
        self._classes = classes
        self._confidence = confidence
        self._clock = clock
        self._lock = threading.Lock()
        self._counted: dict[str, Histograms] = {}

    @property
    def concept(self) -> bool:
        """Whether a camera's outputs left their past while nothing of its pictures did."""
        return any(only_outputs(one.history.standing.raised) for one in self.cameras.values())

    @property
    def raised(self) -> bool:
        """Whether any alarm stands."""
        return bool(self.drifted)

    @property
    def drifted(self) -> tuple[str, ...]:
        """What differs from the profile, and from each camera's past, in words."""
        own = (
            f"{name} (camera {camera} against its past)"
            for camera, watch in self.cameras.items()
            for name in sorted(watch.history.standing.raised)
        )
        return (*self.skew.verdict.differs, *own)

    def skews(self) -> dict[str, SkewVerdict]:
        """Camera -> its last comparison with the profile, empty before the first."""
        return {name: monitor.verdict for name, monitor in self.own.items()}

    def look(self, camera: str, frame: Glance) -> None:
        """A frame that the gate passed, or that had no gate, after the model judged it."""
        watch = self.cameras.get(camera)
        if watch is None:
            return
        with self._lock:
            if watch.look(frame, self._confidence, self._clock()):
                counted = self._counted.setdefault(camera, Histograms(self._classes))
                observe_input(counted, picture_values(frame.statistics, frame.ssim))
                observe_input(counted, frame.embedded)
                width, height = frame.size
                observe_output(
                    counted,
                    frame.detections,
                    confidence=self._confidence,
                    width=width,
                    height=height,
                )

    def settle(self) -> tuple[list[Judged], SkewVerdict | None]:
        """Judge what was gathered since the last time; a disk that fails is a camera's trouble."""
        with self._lock:
            full = {name: watch.take() for name, watch in self.cameras.items()}
            counted, self._counted = self._counted, {}
        judged = [one for name, blocks in full.items() for one in self.cameras[name].judge(blocks)]
        whole = Histograms(self._classes)
        for name, one in counted.items():
            whole.merge(one)
            if name in self.own:
                self.own[name].update(one)
        return judged, self.skew.update(whole) if whole.frames else None
