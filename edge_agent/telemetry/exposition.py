"""Payloads as Prometheus text: base units, ``_total`` for counters, labels instead of names. Pure.

The flat names of the payloads carry their unit (``infer_ms``, ``disk_free_mb``); here they become
what Prometheus wants (``outpost_output_infer_seconds``, ``outpost_disk_free_bytes``). With device
and timestamps the same text fills a database with what came late
(``/api/v1/import/prometheus`` of VictoriaMetrics, ``promtool tsdb create-blocks-from``).

The format is version 0.0.4 of prometheus.io/docs/instrumenting/exposition_formats.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from edge_agent.metrics import (
    METRICS_CAMERA,
    METRICS_CLASSES,
    METRICS_INPUT,
    METRICS_OUTPUT,
    METRICS_SYSTEM,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# topics of metrics, and how the names of their families begin
FAMILIES = {
    METRICS_SYSTEM: "outpost",
    METRICS_CAMERA: "outpost_camera",
    METRICS_INPUT: "outpost_input",
    METRICS_OUTPUT: "outpost_output",
    METRICS_CLASSES: "outpost_classes",
}
_ENVELOPE = frozenset({"v", "ts", "boot", "seq", "model_version", "model", "camera"})
# a payload's unit -> Prometheus' base unit and the factor
_UNITS = (
    ("_ms", "_seconds", 1e-3),
    ("_mb", "_bytes", 1e6),
    ("_percent", "_ratio", 1e-2),
    ("_share", "_ratio", 1.0),
    ("_s", "_seconds", 1.0),
    ("_c", "_celsius", 1.0),
    ("_w", "_watts", 1.0),
    ("_fps", "_frames_per_second", 1.0),
)
# a payload's prefix -> the family and the label that take its place
_LABELLED = (
    ("psi_limit_", "psi_limit", "feature"),
    ("psi_", "psi", "feature"),
    ("class_", "class_detections", "class"),
    ("score_", "class_score", "class"),
)


@dataclass(frozen=True)
class Sample:
    """One value of one series.

    Attributes:
        family: name of the metric.
        labels: names and values, in order.
        value: in base units.
        source: topic and field, for the help text.
        ts: seconds since the epoch; None for now.
    """

    family: str
    labels: tuple[tuple[str, str], ...]
    value: float
    source: str
    ts: float | None = None


def samples(
    suffix: str, payload: Mapping[str, Any], labels: Mapping[str, str], ts: float | None = None
) -> list[Sample]:
    """The numbers of one metrics payload; nothing for any other topic.

    Args:
        suffix: topic below the device.
        payload: with or without the envelope.
        labels: beside ``model`` and ``camera``, which the payload has: device, version.
        ts: seconds since the epoch; None for now.
    """
    prefix = FAMILIES.get(suffix)
    if prefix is None:
        return []
    own = {name: str(payload[name]) for name in ("model", "camera") if name in payload}
    found = []
    for field, value in payload.items():
        if field in _ENVELOPE or isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        if not math.isfinite(value):
            continue
        name, factor, label = _named(field.removeprefix("camera_"))
        pairs = tuple({**own, **labels, **label}.items())
        found.append(Sample(f"{prefix}_{name}", pairs, value * factor, f"{suffix}: {field}", ts))
    return found


def _named(field: str) -> tuple[str, float, dict[str, str]]:
    """A field's family, without prefix, its factor, and a label that was in its name."""
    for prefix, family, label in _LABELLED:
        rest = field.removeprefix(prefix)
        if rest != field and rest not in ("frames", ""):
            return family, 1.0, {label: rest}
    name = re.sub(r"[^a-zA-Z0-9_]", "_", field)
    for unit, base, factor in _UNITS:
        if name.endswith(unit):
            return name.removesuffix(unit) + base, factor, {}
    return name, 1.0, {}


def text(samples: Iterable[Sample]) -> str:
    """The exposition: each family once, with help and type, its series below it."""
    families: dict[str, dict[tuple[tuple[tuple[str, str], ...], float | None], Sample]] = {}
    for sample in samples:
        families.setdefault(sample.family, {})[sample.labels, sample.ts] = sample
    lines = []
    for family, series in sorted(families.items()):
        first = next(iter(series.values()))
        kind = "counter" if family.endswith("_total") else "gauge"
        lines.append(f"# HELP {family} {_escaped(first.source, help_text=True)}")
        lines.append(f"# TYPE {family} {kind}")
        lines += [_line(sample) for sample in series.values()]
    return "".join(f"{line}\n" for line in lines)


def _line(sample: Sample) -> str:
    labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in sample.labels)
    stamp = "" if sample.ts is None else f" {round(sample.ts * 1e3)}"
    return f"{sample.family}{{{labels}}} {sample.value!r}{stamp}"


def _escaped(value: str, *, help_text: bool = False) -> str:
    value = value.replace("\\", "\\\\").replace("\n", "\\n")
    return value if help_text else value.replace('"', '\\"')
