"""From what was recorded over the broker to the facts of the report. Pure: no I/O in here."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from deploy.demo.recorder import Received, Recording
from edge_agent.metrics import METRICS_INPUT, METRICS_OUTPUT, METRICS_SYSTEM
from edge_agent.monitors.histogram import OUTPUT_FEATURES
from edge_agent.slots import State

COUNTERS = {
    "captured": "frames_captured_total",
    "inferred": "frames_inferred_total",
    "skipped_by_gate": "frames_skipped_total",
    "dropped": "frames_dropped_total",
    "swaps": "swaps_total",
    "dropped_during_swaps": "frames_dropped_during_swap_total",
}


@dataclass(frozen=True)
class Transition:
    """One step of the device's transaction, as the device reported it."""

    t: float
    release: str
    version: int
    origin: str
    target: str
    reason: str

    def to_document(self) -> dict[str, Any]:
        """The form of report.json (``from`` is a Python keyword)."""
        document = asdict(self)
        document["from"], document["to"] = document.pop("origin"), document.pop("target")
        return document


@dataclass(frozen=True)
class Check:
    """Something that the story claims, and whether it was so."""

    text: str
    ok: bool


def transitions(recording: Recording) -> list[Transition]:
    """All changes of state, in the order in which they happened.

    The device also tells of audit notes this way (a ban lifted, a repository out of reach); these
    have no state as their target and are left out.
    """
    found = []
    for message in recording.events("transition"):
        fields = message.payload
        if fields["to"] not in State.__members__:
            continue
        found.append(
            Transition(
                t=round(float(fields["at"]) - recording.started_wall, 2),
                release=f"{fields['model']}/{fields['version']}",
                version=int(fields["version"]),
                origin=str(fields["from"]),
                target=str(fields["to"]),
                reason=str(fields["reason"]),
            )
        )
    return sorted(found, key=lambda item: item.t)


def reached(steps: Iterable[Transition], version: int, target: str) -> bool:
    """Whether a version ever came into a state."""
    return any(step.version == version and step.target == target for step in steps)


def frames(recording: Recording) -> dict[str, int]:
    """Frames by outcome over the whole demo: each boot's last counters, added up."""
    last: dict[str, dict[str, Any]] = {}
    for message in recording.of(METRICS_SYSTEM):
        last[str(message.payload["boot"])] = message.payload
    return {
        name: sum(int(payload.get(field, 0)) for payload in last.values())
        for name, field in COUNTERS.items()
    }


def points(messages: Sequence[Received], field: str) -> list[tuple[float, float]]:
    """A metric over time, where it was present."""
    return [(m.t, float(m.payload[field])) for m in messages if field in m.payload]


def worst_drift(recording: Recording) -> list[tuple[float, float]]:
    """The largest PSI of any feature over its own limit, per window that had one; 1 is reported."""
    found = []
    for message in recording.of(METRICS_OUTPUT):
        fields = message.payload
        values = [
            float(fields[f"psi_{name}"]) / float(fields[f"psi_limit_{name}"])
            for name in OUTPUT_FEATURES
            if f"psi_{name}" in fields
        ]
        if values:
            found.append((message.t, max(values)))
    return found


def running(recording: Recording, end: float) -> list[tuple[float, float, int]]:
    """Stretches (start, end, version) during which a version did the inference."""
    stretches: list[tuple[float, float, int]] = []
    for message in recording.of(METRICS_SYSTEM):
        version = int(message.payload["model_version"])
        if version == 0:
            continue
        if stretches and stretches[-1][2] == version:
            stretches[-1] = (stretches[-1][0], message.t, version)
        else:
            start = stretches[-1][1] if stretches else message.t
            stretches.append((start, message.t, version))
    if stretches:
        stretches[-1] = (stretches[-1][0], end, stretches[-1][2])
    return stretches


def input_faults(recording: Recording, end: float) -> list[tuple[float, float, str]]:
    """Stretches (start, end, text) in which the gate said that the input is not fit to judge."""
    moments = [*recording.events("gate.rejecting"), *recording.events("gate.cleared")]
    found: list[tuple[float, float, str]] = []
    open_since: Received | None = None
    failing: set[str] = set()
    for message in sorted(moments, key=lambda item: item.t):
        check = str(message.payload.get("check"))
        if message.payload["kind"] == "gate.rejecting":
            open_since = open_since or message
            failing.add(check)
            continue
        failing.discard(check)
        if open_since is not None and not failing:
            found.append((open_since.t, message.t, str(open_since.payload["text"])))
            open_since = None
    if open_since is not None:
        found.append((open_since.t, end, str(open_since.payload["text"])))
    return found


def document(
    recording: Recording,
    *,
    checks: Sequence[Check],
    duration_s: float,
    broker: str,
    final: dict[str, Any],
) -> dict[str, Any]:
    """The content of report.json."""
    metrics = [m for m in recording.messages if m.suffix.startswith("up/metrics/")]
    system, inputs = recording.of(METRICS_SYSTEM), recording.of(METRICS_INPUT)
    p50 = [value for _, value in points(system, "latency_p50_ms")]
    p95 = [value for _, value in points(system, "latency_p95_ms")]
    ssim = [value for _, value in points(inputs, "ssim_p50")]
    ssim_min = [value for _, value in points(inputs, "ssim_min")]
    return {
        "ok": all(check.ok for check in checks),
        "duration_s": round(duration_s, 1),
        "broker": broker,
        "transitions": [step.to_document() for step in transitions(recording)],
        "final": final,
        "frames": frames(recording),
        "metrics_received": len(metrics),
        "events_received": len([m for m in recording.messages if m.suffix == "up/events"]),
        "latency_ms": {"p50": _median(p50), "p95": _median(p95)},
        "ssim": {"min": round(min(ssim_min, default=0.0), 4), "median": _median(ssim)},
        "checks": [asdict(check) for check in checks],
    }


def _median(values: Sequence[float]) -> float:
    return round(statistics.median(values), 4) if values else 0.0
