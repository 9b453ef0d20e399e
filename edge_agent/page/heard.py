"""What the page keeps of the agent's messages: last windows, PSI over time, events of this run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from edge_agent.metrics import EVENTS, METRICS_OUTPUT, METRICS_SYSTEM, Message

EVENTS_KEPT = 40
DRIFT_KEPT = 180


class Event(NamedTuple):
    """One event, and when it was told (seconds of the clock)."""

    at: float
    kind: str
    severity: str
    text: str


class Told(NamedTuple):
    """One window's payload, and when it was told."""

    at: float
    payload: Mapping[str, Any]


class Psi(NamedTuple):
    """The feature of one drift verdict that is nearest to, or furthest above, its limit."""

    at: float
    feature: str
    psi: float
    limit: float


class Heard:
    """Listens to `edge_agent.telemetry.voice`; keeps what is newest, in bounded memory.

    One thread tells, several read: values are replaced as a whole and never changed.

    Attributes:
        events: oldest first, without the ``transition`` events (the journal has those).
        system: the last ``up/metrics/system``, None before the first.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.events: tuple[Event, ...] = ()
        self.system: Told | None = None
        self._clock = clock
        self._output: dict[str, Told] = {}
        self._drift: dict[str, tuple[Psi, ...]] = {}
        self._latest: dict[tuple[str, str], Event] = {}

    def __call__(self, message: Message, model_version: int = 0) -> None:
        """Take note of one message."""
        payload, now = message.payload, self._clock()
        if message.suffix == METRICS_SYSTEM:
            self.system = Told(now, payload)
        elif message.suffix == METRICS_OUTPUT:
            self._hear_output(str(payload.get("model", "")), Told(now, payload))
        elif message.suffix == EVENTS:
            self._hear_event(payload, now)

    def output(self, model: str) -> Told | None:
        """The last ``up/metrics/output`` of a model."""
        return self._output.get(model)

    def drift(self, model: str) -> tuple[Psi, ...]:
        """The drift verdicts of a model, oldest first."""
        return self._drift.get(model, ())

    def latest(self, subject: str, family: str) -> Event | None:
        """The last event of a camera or model whose kind begins with ``family.``."""
        return self._latest.get((subject, family))

    def _hear_output(self, model: str, told: Told) -> None:
        before = self._output.get(model)
        self._output[model] = told
        values = features(told.payload)
        # A verdict is repeated in every window until the next one.
        if values and (before is None or values != features(before.payload)):
            name = max(values, key=lambda one: values[one][0] / max(values[one][1], 1e-9))
            newest = Psi(told.at, name, *values[name])
            self._drift[model] = (*self.drift(model)[1 - DRIFT_KEPT :], newest)

    def _hear_event(self, payload: Mapping[str, Any], now: float) -> None:
        kind = str(payload.get("kind", ""))
        if kind == "transition":
            return
        heard = Event(now, kind, str(payload.get("severity", "")), str(payload.get("text", "")))
        self.events = (*self.events[1 - EVENTS_KEPT :], heard)
        family = kind.partition(".")[0]
        for subject in ("camera", "model"):
            if subject in payload:
                self._latest[str(payload[subject]), family] = heard


def features(payload: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Feature -> PSI and its limit, of an ``up/metrics/output``; empty before the first verdict."""
    prefix = "psi_limit_"
    names = [key.removeprefix(prefix) for key in payload if key.startswith(prefix)]
    return {
        name: (float(payload[f"psi_{name}"]), float(payload[f"{prefix}{name}"]))
        for name in names
        if f"psi_{name}" in payload
    }
