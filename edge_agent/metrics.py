"""Telemetry types: topics, the envelope of every payload, and the reader that removes duplicates.

One home for what goes over MQTT (docs/formats.md). Metrics are one flat JSON object of numbers per
window; a reading that is not there is absent, never zero.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, ClassVar, TypeGuard

PAYLOAD_VERSION = 1
ROOT = "outpost/v1"
DEVICE_PATTERN = r"[a-z0-9-]{1,64}"
_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)

STATUS = "up/status"
INFO = "up/info"
METRICS_SYSTEM = "up/metrics/system"
METRICS_INPUT = "up/metrics/input"
METRICS_OUTPUT = "up/metrics/output"
METRICS_CAMERA = "up/metrics/camera"
METRICS_CLASSES = "up/metrics/classes"
METRICS_SLICES = "up/metrics/slices"
METRICS_DRIFT = "up/metrics/drift"
METRICS_PERFORMANCE = "up/metrics/performance"
EVENTS = "up/events"
ALERTS = "up/alerts/active"
REPORTED = "up/reported"
RESULT = "up/result"
COMMANDS = "dn/cmd"
COMMAND_KINDS = ("sync", "snapshot", "restart-source", "set-interval", "feedback")


def topic(device: str, suffix: str) -> str:
    """The full topic of a device, e.g. ``outpost/v1/cell-3/up/status``."""
    return f"{ROOT}/{device}/{suffix}"


@dataclass(frozen=True)
class Message:
    """One thing to send: where to (without the root), what, and how surely.

    Attributes:
        suffix: topic below the device, one of the constants above.
        payload: JSON-ready fields, without the envelope.
        retain: whether the broker keeps it for those who come later.
        durable: goes through the outbox and is repeated until the broker has it.
        priority: when the outbox is full, lower goes first (0 metrics, 1 events).
    """

    suffix: str
    payload: Mapping[str, Any]
    retain: bool = False
    durable: bool = True
    priority: int = 0


def event(kind: str, severity: str, text: str, **fields: Any) -> Message:
    """An event for people and machines.

    Args:
        kind: dotted name, e.g. ``gate.rejecting``, ``transition``, ``agent.started``.
        severity: ``info``, ``warning`` or ``error``.
        text: one sentence.
        fields: numbers and texts as evidence.
    """
    payload = {"kind": kind, "severity": severity, "text": text, **fields}
    return Message(EVENTS, payload, priority=1)


def numbers(values: Mapping[str, float | int | None]) -> dict[str, float | int]:
    """Drop what is absent or not finite, so that missing is never sent as zero or NaN."""
    return {
        name: value for name, value in values.items() if value is not None and math.isfinite(value)
    }


@dataclass
class Stamper:
    """Gives each payload its envelope: ``v, ts, boot, seq``.

    What goes through the outbox counts 1, 2, 3, … in each boot, so that a consumer sees a gap.
    What is worth sending only now (status, info, reported, detections) counts -1, -2, -3, …:
    unique too, and no gap when it is lost.
    """

    boot: str
    seq: int = 0
    step: int = 1

    def stamp(self, payload: Mapping[str, Any], *, ts: float, model_version: int) -> bytes:
        """The bytes to publish.

        Args:
            payload: the message's own fields.
            ts: wall-clock seconds.
            model_version: version that was running, 0 for none.
        """
        self.seq += self.step
        document = {
            "v": PAYLOAD_VERSION,
            "ts": round(ts, 3),
            "boot": self.boot,
            "seq": self.seq,
            "model_version": model_version,
            **payload,
        }
        return _ENCODER.encode(document).encode()


def _is_number(seq: object) -> TypeGuard[int]:
    """Whether it can be a message's number: whole, not 0, and of 64 bits."""
    return isinstance(seq, int) and not isinstance(seq, bool) and 0 < abs(seq) < 1 << 63


@dataclass
class _Heard:
    """Which numbers of one boot have come: all up to ``prefix``, and those beyond it."""

    prefix: int = 0
    last: int = 0
    given_up: int = 0
    beyond: set[int] = field(default_factory=set)
    live: dict[int, None] = field(default_factory=dict)

    def add(self, seq: int) -> bool:
        if seq < 0:
            return self._add_live(seq)
        if seq <= self.prefix or seq in self.beyond:
            return False
        self.beyond.add(seq)
        if len(self.beyond) > Reader.REMEMBERED:
            self.given_up += min(self.beyond) - 1 - self.prefix
            self.prefix = min(self.beyond) - 1
        while self.prefix + 1 in self.beyond:
            self.prefix += 1
            self.beyond.remove(self.prefix)
        return True

    def _add_live(self, seq: int) -> bool:
        if seq in self.live:
            return False
        self.live[seq] = None
        if len(self.live) > Reader.REMEMBERED:
            del self.live[next(iter(self.live))]
        return True


@dataclass
class Reader:
    """What a consumer keeps per device: removes duplicates by ``(boot, seq)`` and counts them.

    Order across topics is not promised, so numbers that came early are remembered, at most
    `REMEMBERED` per boot: after that many, the ones still missing below are given up, and counted.
    Of each device the last `BOOTS` lives are remembered.
    """

    REMEMBERED: ClassVar[int] = 10_000
    BOOTS: ClassVar[int] = 100

    accepted: int = 0
    duplicates: int = 0
    malformed: int = 0
    _heard: dict[str, dict[str, _Heard]] = field(default_factory=dict)

    def accept(self, device: str, payload: bytes) -> dict[str, Any] | None:
        """Parse one payload; None for a duplicate or for something that is not ours."""
        try:
            document = json.loads(payload)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            document = {}
        boot, seq = document.get("boot"), document.get("seq")
        if not isinstance(boot, str) or not _is_number(seq):
            self.malformed += 1
            return None
        if not self._life(device, boot).add(seq):
            self.duplicates += 1
            return None
        self.accepted += 1
        ended, last = document.get("previous_boot"), document.get("previous_seq")
        if isinstance(ended, str) and _is_number(last):
            self._life(device, ended).last = last
        return document

    def gaps(self, device: str, boot: str) -> list[int]:
        """Numbers that have not arrived (yet), at most `REMEMBERED`.

        Known are those below the highest heard, and, once the next life of the device told how far
        this one had come, those at its end.
        """
        heard = self._heard.get(device, {}).get(boot, _Heard())
        highest = max(max(heard.beyond, default=heard.prefix), heard.last)
        missing = (seq for seq in range(heard.prefix + 1, highest + 1) if seq not in heard.beyond)
        return list(islice(missing, self.REMEMBERED))

    def given_up(self, device: str, boot: str) -> int:
        """Numbers that were missing for so long that they are no longer waited for."""
        return self._heard.get(device, {}).get(boot, _Heard()).given_up

    def boots(self, device: str) -> list[str]:
        """The lives of a device that are remembered, oldest first."""
        return list(self._heard.get(device, {}))

    def _life(self, device: str, boot: str) -> _Heard:
        lives = self._heard.setdefault(device, {})
        if boot not in lives:
            lives[boot] = _Heard()
            if len(lives) > self.BOOTS:
                del lives[next(iter(lives))]
        return lives[boot]
