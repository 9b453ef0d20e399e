"""What is done with each frame of a camera: gate -> detector -> window -> those who listen."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edge_agent.config import Camera
from edge_agent.config import Gate as GateSettings
from edge_agent.gate import Hysteresis, Verdict
from edge_agent.loop.loaded import Holder, Loaded
from edge_agent.loop.seen import Listener, Seen
from edge_agent.metrics import Message, event, numbers
from edge_agent.sources import Frame

KINDS_MOST = 32
log = logging.getLogger(__name__)

Tell = Callable[[Message, int], None]
"""Takes a message and the model version that it is about; must not block."""


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
        self._camera = camera
        self._gate = gate
        self._holder = holder
        self._tell = tell
        self._detections = detections
        self._listeners = tuple(listeners)
        self._calm = Hysteresis(gate.raise_after, gate.clear_after)
        self._alarms: dict[str, Hysteresis] = {}
        self._kinds: set[str] = set()

    @property
    def rejecting(self) -> bool:
        """Whether an alarm of the gate is raised."""
        return any(alarm.raised for alarm in self._alarms.values())

    def frame(self, frame: Frame) -> None:
        """Judge one frame; whatever goes wrong with it is counted, never raised."""
        with self._holder.use() as loaded:
            if loaded is None:
                self.skipped += 1
                return
            try:
                self._judge(loaded, frame)
            except Exception as error:
                self.errors += 1
                loaded.window.error()
                self._log_first(error)

    def _judge(self, loaded: Loaded, frame: Frame) -> None:
        began = time.perf_counter()
        gate = loaded.gates.get(self._camera.id)
        verdict = None
        if gate is not None:
            verdict = gate.check(frame.image, seq=frame.seq, at=frame.captured_at)
        gate_ms = (time.perf_counter() - began) * 1e3
        if verdict is not None and gate is not None:
            self._watch(verdict, gate.ssim_min, loaded.version)
            if verdict.skip:
                self.skipped += 1
                loaded.window.skipped(self._camera.id, verdict, gate_ms)
                if verdict.statistics is not None:  # who listens may take it for a picture
                    self._show(Seen(frame, verdict, None, loaded))
                return
        with loaded.serial:
            result = loaded.detector.detect(frame.image)
        self.inferred += 1
        height, width = frame.image.shape[:2]
        loaded.window.inferred(
            self._camera.id, verdict, result, size=(width, height), gate_ms=gate_ms
        )
        if self._detections:
            boxes = [[round(value, 4) for value in row] for row in result.detections.tolist()]
            self._tell(_detections(self._camera.id, frame, boxes), loaded.version)
        self._show(Seen(frame, verdict, result, loaded))

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
                text = check.text if after.raised else verdict.text
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
                    self._alarm(name, False, "it is not checked any more", version, {})

    def _alarm(
        self, check: str, raised: bool, text: str, version: int, evidence: Mapping[str, Any]
    ) -> None:
        kind, severity = ("gate.rejecting", "warning") if raised else ("gate.cleared", "info")
        if raised:
            text = f"camera {self._camera.id}: input problem, not the model: {text}"
            evidence = {"cause": "camera", **evidence}
            log.warning("%s", text)
        else:
            text = f"camera {self._camera.id}: {check} is good again ({text})"
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


def _detections(camera: str, frame: Frame, boxes: list[list[float]]) -> Message:
    payload = {"frame": frame.seq, "captured_at": round(frame.captured_at, 3), "detections": boxes}
    return Message(f"up/detections/{camera}", payload, durable=False)
