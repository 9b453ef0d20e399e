"""Frames in, verdicts out: what the agent holds for a release. Counting never waits for judging.

`look` is called for each frame that the gate passed and the model judged; it counts one frame per
spacing and does little else. `settle` is called by the agent's loop: it judges full blocks, where
no frame waits for it, and gives the history to whoever goes to the disk.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edge_agent.drift.budget import levels
from edge_agent.drift.camera import CameraWatch, Glance
from edge_agent.drift.history import Block, History
from edge_agent.drift.layout import only_outputs
from edge_agent.drift.skew import SkewMonitor, SkewVerdict
from edge_agent.drift.verdict import Standing, Verdict
from edge_agent.monitors.histogram import Histograms
from edge_agent.monitors.observe import observe_input, observe_output, picture_values


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


class DriftWatch:
    """All cameras of one release, and the profile.

    Args:
        cameras: id -> watch.
        skew: of all cameras together against the bundle's profile.
        own: the same of each camera by itself; told, and no alarm.
        knob: false alarms per month that these cameras share.
        classes: of the model.
        confidence: the manifest's, by which the profile was counted.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        cameras: Mapping[str, CameraWatch],
        skew: SkewMonitor,
        *,
        knob: float,
        classes: int,
        confidence: float,
        own: Mapping[str, SkewMonitor] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.cameras = dict(cameras)
        self.skew = skew
        self._knob = knob
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
        judged = [one for name, blocks in full.items() for one in self._judge(name, blocks)]
        self.keep()
        whole = Histograms(self._classes)
        for name, one in counted.items():
            whole.merge(one)
            if name in self.own:
                self.own[name].update(one)
        return judged, self.skew.update(whole) if whole.frames else None

    def keep(self, *, at_once: bool = False) -> None:
        """Have the blocks that fill written, once a minute, or at once when the agent ends."""
        for watch in self.cameras.values():
            with self._lock:
                gathering = watch.due(self._clock(), at_once=at_once)
            if gathering is not None:
                watch.keep_gathering(gathering)

    def _judge(self, camera: str, blocks: list[Block]) -> list[Judged]:
        """Verdicts of a camera's full blocks; its history is then given to be written."""
        watch, told = self.cameras[camera], []
        for block in blocks:
            if not watch.add(block):
                continue
            before = watch.history.standing
            level = levels({name: one.seat for name, one in self.cameras.items()}, self._knob)
            verdict = watch.history.conclude(level[camera])
            told.append(Judged(camera, verdict, before, watch.history.standing, watch.history))
        if blocks:
            watch.keep()
        return told
