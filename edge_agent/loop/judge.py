"""What is done with each frame of a camera: gate -> lane -> window -> those who listen."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from edge_agent.config import Camera
from edge_agent.config import Gate as GateSettings
from edge_agent.detection.detector import Result
from edge_agent.detection.preprocess import Letterbox
from edge_agent.drift.camera import Glance
from edge_agent.gate import Hysteresis, Verdict
from edge_agent.loop.lane import Canvases, Job
from edge_agent.loop.loaded import Holder, Loaded
from edge_agent.loop.seen import Listener, Seen
from edge_agent.metrics import Message, event, numbers
from edge_agent.sources import Frame

KINDS_MOST = 32
_SLOWLY = 0.1
log = logging.getLogger(__name__)

Tell = Callable[[Message, int], None]
"""Takes a message and the model version that it is about; must not block."""


class _Slots(NamedTuple):
    """Where one camera's frames become inputs of one release."""

    loaded: Loaded
    letterbox: Letterbox
    canvases: Canvases


@dataclass(frozen=True)
class _Before:
    """What was known of a frame when it was lined up; times that were not taken are NaN."""

    verdict: Verdict | None
    gate_ms: float
    capture_ms: float


class Judge:
    """Brings one camera's frames through gate and detector into the window of the release.

    Args:
        camera: the ``[[camera]]`` section.
        gate: the ``[gate]`` section.
        holder: where the model's release is found.
        tell: for events and, with ``detections``, each frame's boxes.
        detections: whether to tell each frame's boxes.
        listeners: called for each frame that was judged or kept from the model.

    Attributes:
        inferred, skipped, errors: frames so far, by outcome.
        withheld: whether frames are judged and counted, but their boxes not told.
        reference: the only one that the gate compares with, whatever release comes; "" for its own
            choice. Set from any thread: it holds from the next frame on.
    """

    def __init__(
        self,
        camera: Camera,
        gate: GateSettings,
        holder: Holder,
        tell: Tell,
        *,
        detections: bool = False,
        listeners: Sequence[Listener] = (),
    ) -> None:
        self.inferred = self.skipped = self.errors = 0
        self.withheld = False
        self.reference = ""
        self._camera = camera
        self._gate = gate
        self._holder = holder
        self._tell = tell
        self._detections = detections
        self._listeners = tuple(listeners)
        self._calm = Hysteresis(gate.raise_after, gate.clear_after)
        self._alarms: dict[str, Hysteresis] = {}
        self._kinds: set[str] = set()
        self._failing = threading.Lock()
        self._slots: _Slots | None = None
        self._prepare_s = 0.0

    @property
    def rejecting(self) -> bool:
        """Whether an alarm of the gate is raised."""
        return any(alarm.raised for alarm in self._alarms.values())

    @property
    def pause_s(self) -> float:
        """Seconds until it is time to take the next frame; one taken earlier would be stale."""
        loaded = self._holder.current
        return 0.0 if loaded is None else max(0.0, loaded.lane.time_left_s() - self._prepare_s)

    def frame(self, frame: Frame) -> None:
        """Judge one frame; whatever goes wrong with it is counted, never raised.

        Returns once the frame is lined up for the network; the rest happens in the lane's threads.
        """
        capture_ms = _age_ms(frame)
        loaded = self._holder.take()
        if loaded is None:
            self.skipped += 1
            return
        try:
            lined_up = self._line_up(loaded, frame, capture_ms)
        except Exception as error:
            self._fail(loaded, error)
            lined_up = False
        if not lined_up:
            self._holder.give_back(loaded)

    def drain(self, timeout_s: float) -> bool:
        """Wait until every frame that was lined up is done; False when that took too long."""
        return self._slots is None or self._slots.canvases.drain(timeout_s)

    def _line_up(self, loaded: Loaded, frame: Frame, capture_ms: float) -> bool:
        """The gate first; whether the frame goes to the network."""
        began = time.perf_counter()
        gate = loaded.gates.get(self._camera.id)
        verdict = None
        if gate is not None:
            verdict = gate.check(
                frame.image, seq=frame.seq, at=frame.captured_at, only=self.reference
            )
        gate_s = time.perf_counter() - began
        if verdict is not None and gate is not None:
            self._watch(verdict, gate.ssim_min, loaded.version)
            if verdict.skip:
                self.skipped += 1
                loaded.window.skipped(self._camera.id, verdict, gate_s * 1e3)
                if verdict.statistics is not None:  # who listens may take it for a picture
                    self._show(Seen(frame, verdict, None, loaded))
                return False
        before = _Before(verdict, math.nan if gate is None else gate_s * 1e3, capture_ms)
        self._submit(loaded, frame, before, gate_s)
        return True

    def _submit(self, loaded: Loaded, frame: Frame, before: _Before, gate_s: float) -> None:
        """Fill a buffer with the frame and line it up; waits for a free buffer."""
        if self._slots is None or self._slots.loaded is not loaded:
            self._slots = _Slots(loaded, loaded.detector.letterbox(), loaded.lane.canvases())
        _, letterbox, canvases = self._slots
        canvas = canvases.take()
        assert canvas is not None  # without a timeout it waits
        try:
            began = time.perf_counter()
            tensor, placement = letterbox(frame.image, canvas)
        except BaseException:
            canvases.give_back(canvas)
            raise
        spent_s = time.perf_counter() - began
        self._prepare_s += (gate_s + spent_s - self._prepare_s) * _SLOWLY

        def done(outcome: Result | Exception) -> None:
            try:
                self._done(loaded, frame, before, outcome)
            finally:
                canvases.give_back(canvas)
                self._holder.give_back(loaded)

        loaded.lane.submit(Job(tensor, placement, spent_s * 1e3, done))

    def _done(
        self,
        loaded: Loaded,
        frame: Frame,
        before: _Before,
        outcome: Result | Exception,
    ) -> None:
        """What follows inference, in the lane's thread: raises nothing."""
        try:
            if isinstance(outcome, Exception):
                raise outcome
            self._tell_result(loaded, frame, before, outcome)
        except Exception as error:
            self._fail(loaded, error)

    def _tell_result(self, loaded: Loaded, frame: Frame, before: _Before, result: Result) -> None:
        height, width = frame.image.shape[:2]
        embedded = loaded.embedded(result)
        loaded.window.inferred(
            self._camera.id,
            before.verdict,
            result,
            size=(width, height),
            gate_ms=before.gate_ms,
            capture_ms=before.capture_ms,
            end_to_end_ms=_age_ms(frame),
            embedded=embedded,
        )
        if before.verdict is None or before.verdict.passed:
            loaded.drift.look(self._camera.id, _glance(frame, before.verdict, result, embedded))
        self.inferred += 1
        if self._detections and not self.withheld:
            self._tell(detections_message(frame, loaded, result), loaded.version)
        self._show(Seen(frame, before.verdict, result, loaded))

    def _fail(self, loaded: Loaded, error: Exception) -> None:
        with self._failing:
            self.errors += 1
            self._log_first(error)
        loaded.window.error()

    def _show(self, seen: Seen) -> None:
        for listener in self._listeners:
            listener(seen)

    def _watch(self, verdict: Verdict, least: float | None, version: int) -> None:
        """Per check: one event when it begins to reject, one when it is content again."""
        for check in verdict.checks:
            failed = check.failed and check.action != "pass"
            before = self._alarms.get(check.name, self._calm)
            after = self._alarms[check.name] = before.update(not failed)
            if after.raised != before.raised:
                threshold = least if check.name == "ssim" else None
                evidence = numbers(
                    {"score": check.score, "ssim": verdict.ssim, "threshold": threshold}
                )
                now = f" ({verdict.text})" if verdict.passed else f", but {verdict.text}"
                text = check.text if after.raised else now
                self._alarm(check.name, after.raised, text, version, evidence)
        if self.rejecting and verdict.statistics is not None:
            self._forget(verdict, version)

    def _forget(self, verdict: Verdict, version: int) -> None:
        """What is not checked any more, since another release came, is not wrong any more."""
        made = {check.name for check in verdict.checks}
        for name, alarm in self._alarms.items():
            if alarm.raised and name not in made:
                self._alarms[name] = after = alarm.update(True)
                if not after.raised:
                    self._alarm(name, False, " (it is not checked any more)", version, {})

    def _alarm(
        self, check: str, raised: bool, text: str, version: int, evidence: Mapping[str, Any]
    ) -> None:
        kind, severity = ("gate.rejecting", "warning") if raised else ("gate.cleared", "info")
        if raised:
            text = f"camera {self._camera.id}: input problem, not the model: {text}"
            evidence = {"cause": "camera", **evidence}
            log.warning("%s", text)
        else:
            text = f"camera {self._camera.id}: {check} is good again{text}"
            log.info("%s", text)
        self._event(kind, severity, text, version, check=check, **evidence)

    def _event(
        self, kind: str, severity: str, text: str, version: int = 0, **fields: object
    ) -> None:
        self._tell(event(kind, severity, text, camera=self._camera.id, **fields), version)

    def _log_first(self, error: Exception) -> None:
        kind = f"{type(error).__name__}: {error}"[:80]
        if kind not in self._kinds and len(self._kinds) < KINDS_MOST:
            self._kinds.add(kind)
            log.error(
                "camera %s: frame not judged (%s); counted from now on", self._camera.id, kind
            )


def _glance(
    frame: Frame, verdict: Verdict | None, result: Result, embedded: Mapping[str, float]
) -> Glance:
    height, width = frame.image.shape[:2]
    return Glance(
        result.detections,
        (width, height),
        verdict.statistics if verdict is not None else None,
        verdict.ssim if verdict is not None else None,
        frame.seq,
        frame.captured_at,
        embedded,
    )


def _age_ms(frame: Frame) -> float:
    """Milliseconds since a frame was captured; below 0 when that clock runs ahead of ours."""
    return (time.time() - frame.captured_at) * 1e3


def detections_message(frame: Frame, loaded: Loaded, result: Result) -> Message:
    """``up/detections/<camera>``: what is reported of one frame."""
    boxes = np.round(loaded.reported(result.detections).astype(np.float64), 4).tolist()
    payload = {"frame": frame.seq, "captured_at": round(frame.captured_at, 3), "detections": boxes}
    return Message(f"up/detections/{frame.camera}", payload, durable=False)
