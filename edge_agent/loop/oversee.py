"""The agent's judgement of itself: windows in, alerts and actions out.

It hears every metric that the agent sends (so rules see what consumers see), asks the live engine
for its golden frames, and sits at the policy's desk when windows close. All in the agent's thread.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from edge_agent.clerk import AtOnce, Disk
from edge_agent.config import Config
from edge_agent.feedback.performance import readings
from edge_agent.loop.golden import LiveSelfTest, Outcome
from edge_agent.loop.hands import Hands
from edge_agent.loop.loaded import Loaded
from edge_agent.loop.runtime import ModelRuntime
from edge_agent.loop.signs import Gatherer
from edge_agent.metrics import (
    METRICS_CAMERA,
    METRICS_INPUT,
    METRICS_OUTPUT,
    METRICS_PERFORMANCE,
    METRICS_SYSTEM,
    Message,
    event,
)
from edge_agent.monitors.windows import WindowReport
from edge_agent.policy.catalogue import CAMERA, DEVICE, MODEL, catalogue, kind_of
from edge_agent.policy.desk import Clocks, Desk, Subject
from edge_agent.policy.expression import Readings
from edge_agent.policy.memory import Memory
from edge_agent.policy.wishes import Wishes
from edge_agent.slots import Journal
from edge_agent.sources.state import DEGRADED, DOWN
from edge_agent.telemetry.payloads import judgement
from edge_agent.triage import Finding, judge

if TYPE_CHECKING:
    from edge_agent.policy.webhook import Webhook

NOTES_S = 1.0
log = logging.getLogger(__name__)

_ABOUT = {
    METRICS_SYSTEM: "",
    METRICS_INPUT: "camera",
    METRICS_CAMERA: "camera",
    METRICS_OUTPUT: "model",
}
"""Which field says what the metrics are about."""


class Overseer:
    """One per agent.

    Args:
        config: the whole configuration.
        runtimes: the models.
        journal: where a rollback is asked for; None where there is no updater.
        wishes: where frames are asked for; None where none are kept.
        webhook: who is asked for retraining; None for nobody.
        clocks: the time.
        disk: who goes to the journal, the alerts' file and the golden frames.
    """

    def __init__(
        self,
        config: Config,
        runtimes: Sequence[ModelRuntime],
        *,
        journal: Journal | None = None,
        wishes: Wishes | None = None,
        webhook: Webhook | None = None,
        clocks: Clocks = Clocks(time.monotonic, time.time),  # noqa: B008 - frozen
        disk: Disk | None = None,
    ) -> None:
        disk = disk or AtOnce()
        self._remarks: deque[Message] = deque()
        self._runtimes = list(runtimes)
        self._clock = clocks.monotonic
        self._readings: dict[tuple[str, str], dict[str, float | int]] = {}
        self._figures: dict[tuple[str, int], Readings] = {}
        self._gatherers = {runtime.name: Gatherer() for runtime in runtimes}
        self._troubles: dict[str, str] = {}
        self._selftests = {
            runtime.name: LiveSelfTest(
                runtime.releases.holder,
                config.policy.selftest_s,
                config.model(runtime.name).variant,
                clocks.monotonic,
                disk=disk,
            )
            for runtime in runtimes
        }
        known = catalogue()
        rules = config.policy.rules
        cameras = [camera.camera.id for runtime in runtimes for camera in runtime.cameras]
        self._desk = Desk(
            rules,
            {rule.name: kind_of(rule.when.condition, known) for rule in rules},
            {CAMERA: cameras, MODEL: [runtime.name for runtime in runtimes], DEVICE: [""]},
            memory=Memory(config.layout.alerts),
            hands=Hands(
                config, self._runtimes, journal, wishes, webhook, disk, self._remarks.append
            ),
            clocks=clocks,
            disk=disk,
        )
        self._notes_at = 0.0

    def heard(self, message: Message, model_version: int = 0) -> None:
        """A message that the agent sends; the newest metrics are what rules look at."""
        if message.suffix == METRICS_PERFORMANCE and (figures := readings(message)) is not None:
            # Told only when they change, so they hold until the next ones of that release.
            self._figures[str(message.payload["model"]), model_version] = figures
        about = _ABOUT.get(message.suffix)
        if about is not None:
            name = str(message.payload.get(about, ""))
            values = {n: v for n, v in message.payload.items() if isinstance(v, (int, float))}
            # Replaced, not merged: what a release that was swapped out said is not the new one's.
            self._readings[message.suffix, name] = values

    def begin(self) -> list[Message]:
        """What stands from before."""
        return self._desk.begin() + self._withhold() + self._refer()

    def tick(self) -> list[Message]:
        """Golden frames that are due, what people acknowledged, what was done at the disk."""
        messages = self._taken()
        for name, selftest in self._selftests.items():
            before = selftest.outcome
            if (outcome := selftest.tick()) is not None:
                messages += _selftest_events(name, before, outcome)
            if selftest.trouble and selftest.trouble != self._troubles.get(name):
                messages.append(_untested(name, selftest.trouble))
            self._troubles[name] = selftest.trouble
        now = self._clock()
        if now >= self._notes_at:
            self._notes_at = now + NOTES_S
            messages += self._desk.take_notes()
        return messages

    def said(self, runtime: ModelRuntime, loaded: Loaded) -> dict[str, int | None]:
        """What ``up/metrics/output`` says beside the counts."""
        outcome = self._outcome(runtime, loaded)
        return judgement(
            selftest=None if outcome is None else outcome.ok,
            provider_ok=loaded.provider_ok,
            drifted=runtime.drifted,
            withheld=any(camera.judge.withheld for camera in runtime.cameras),
            concept=loaded.drift.concept,
        )

    def window(
        self,
        runtime: ModelRuntime,
        loaded: Loaded,
        report: WindowReport,
        drifted: tuple[str, ...] | None,
    ) -> None:
        """One window of the release that serves; suspicion asks the golden frames at once."""
        if self._gatherers[runtime.name].window(loaded, report, drifted, self._clock()):
            self._selftests[runtime.name].ask()

    def judge(self) -> list[Message]:
        """All rules, after all metrics of a window were sent."""
        messages = self._desk.window(self._subjects())
        self._readings.clear()
        return messages + self._taken() + self._withhold() + self._refer()

    def close(self) -> None:
        """Let go of the releases."""
        for selftest in self._selftests.values():
            selftest.close()

    def _subjects(self) -> Iterator[Subject]:
        system = self._readings.get((METRICS_SYSTEM, ""), {})
        for runtime in self._runtimes:
            loaded = runtime.current
            version, release = (loaded.version, loaded.digest) if loaded else (0, "")
            output = self._readings.get((METRICS_OUTPUT, runtime.name), {})
            finding = self._finding(runtime)
            figures = self._figures.get((runtime.name, version), {})
            model: Readings = {**system, **output, **figures}
            yield Subject(MODEL, runtime.name, runtime.name, version, release, model, finding)
            for camera in runtime.cameras:
                name = camera.camera.id
                own = self._camera_finding(runtime, name)
                seen = self._readings.get((METRICS_INPUT, name), {})
                lives = self._readings.get((METRICS_CAMERA, name), {})
                readings = {**model, **seen, **lives}
                yield Subject(CAMERA, name, runtime.name, version, release, readings, own)
        yield Subject(DEVICE, "", "", 0, "", system, Finding())

    def _finding(self, runtime: ModelRuntime) -> Finding:
        loaded = runtime.current
        if loaded is None:
            return Finding()
        outcome, down = self._outcome(runtime, loaded), _down(runtime)
        return judge(self._gatherers[runtime.name].signs(outcome, loaded.provider_ok, down))

    def _camera_finding(self, runtime: ModelRuntime, camera: str) -> Finding:
        """What is the matter with a camera is first asked of what it gives."""
        signs = self._gatherers[runtime.name].of_camera(camera, down=camera in _down(runtime))
        finding = judge(signs)
        return finding if finding.cause else self._finding(runtime)

    def _outcome(self, runtime: ModelRuntime, loaded: Loaded) -> Outcome | None:
        outcome = self._selftests[runtime.name].outcome
        return outcome if outcome is not None and outcome.digest == loaded.digest else None

    def _withhold(self) -> list[Message]:
        """Keep back, or give again, each camera's detections; told when it changes."""
        withheld, messages = self._desk.withheld, []
        for runtime in self._runtimes:
            for camera in runtime.cameras:
                name = camera.camera.id
                hold = bool({(MODEL, runtime.name), (CAMERA, name)} & withheld)
                if hold != camera.judge.withheld:
                    camera.judge.withheld = hold
                    messages.append(_withheld_event(runtime.name, name, hold))
        return messages

    def _refer(self) -> list[Message]:
        """Switch each camera's input check to the reference that a rule names, or back; told."""
        messages = []
        for runtime in self._runtimes:
            for camera in runtime.cameras:
                name, judge_ = camera.camera.id, camera.judge
                wanted = self._desk.reference_of([(CAMERA, name), (MODEL, runtime.name)])
                if wanted != judge_.reference:
                    judge_.reference = wanted
                    messages.append(_reference_event(runtime, name, wanted))
        return messages

    def _taken(self) -> list[Message]:
        taken = []
        while self._remarks:
            taken.append(self._remarks.popleft())
        return taken


def _reference_event(runtime: ModelRuntime, camera: str, name: str) -> Message:
    """``reference.switched``, ``reference.restored``, or ``reference.unknown`` to this camera."""
    fields = {"model": runtime.name, "camera": camera, "reference": name}
    if not name:
        text = f"camera {camera}: the input check chooses its reference by itself again"
        return event("reference.restored", "info", text, **fields)
    gate = runtime.current.gates.get(camera) if runtime.current is not None else None
    known = sorted(gate.views) if gate is not None else None
    if known is not None and name not in known:
        text = (
            f'camera {camera}: a rule wants the reference "{name}", which it was not calibrated'
            f" with ({', '.join(known) or 'none'}); edge-agent calibrate --name {name}"
        )
        return event("reference.unknown", "error", text, **fields)
    text = f'camera {camera}: the input check compares with "{name}" only, as a rule says'
    return event("reference.switched", "info", text, **fields)


def _down(runtime: ModelRuntime) -> list[str]:
    """Its cameras that give nothing, or much that cannot be used."""
    return [c.camera.id for c in runtime.cameras if c.state in (DOWN, DEGRADED)]


def _selftest_events(model: str, before: Outcome | None, outcome: Outcome) -> list[Message]:
    """One event when the live engine begins to fail, one when it is right again."""
    was_ok = before is None or before.ok
    if outcome.ok == was_ok:
        return []
    kind, severity = ("selftest.passed", "info") if outcome.ok else ("selftest.failed", "error")
    fields = {"model": model, "release": outcome.digest, "frames": outcome.frames}
    text = f"{model} {outcome.version}: {outcome.text}"
    log.log(logging.INFO if outcome.ok else logging.ERROR, "%s", text)
    return [event(kind, severity, text, failures=list(outcome.failures), **fields)]


def _untested(model: str, trouble: str) -> Message:
    text = f"{model}: the live engine cannot be tested: {trouble}"
    log.error("%s", text)
    return event("selftest.impossible", "warning", text, model=model)


def _withheld_event(model: str, camera: str, hold: bool) -> Message:
    if hold:
        text = f"camera {camera}: its detections are withheld, as a rule says"
        return event("output.withheld", "error", text, model=model, camera=camera)
    text = f"camera {camera}: its detections are sent again"
    return event("output.restored", "info", text, model=model, camera=camera)
