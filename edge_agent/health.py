"""The health file: how the updater sees the agent, without a call between them.

``<run>/health.json`` is replaced once per window. The updater treats a stale file as a failure.
Windows since the present release was loaded are kept (the last `KEEP`), so a slow reader misses
none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from dataclasses import fields as fields_of
from functools import cached_property
from pathlib import Path
from typing import Any

from edge_agent.atomic import write_atomic
from edge_agent.checked import Fields
from edge_agent.errors import OutpostError

KEEP = 64


@dataclass(frozen=True)
class Window:
    """What one model did in one window of time.

    Attributes:
        seq: window number of this agent process, from 1.
        at: wall-clock seconds at the window's end.
        release: digest that ran; a window never mixes two releases.
        captured, inferred, skipped, dropped, errors: frames by outcome.
        nonfinite: frames whose raw output held NaN or Inf.
        detections: boxes above the confidence.
        latency_p50_ms, latency_p95_ms: preprocess + inference + postprocess; 0 with no frame.
        provider_ok: whether the active provider is the wanted one.
        rss_mb: resident memory of the agent.
        counts: histogram counts of output features (edge_agent.monitors.histogram).
    """

    seq: int
    at: float
    release: str
    captured: int = 0
    inferred: int = 0
    skipped: int = 0
    dropped: int = 0
    errors: int = 0
    nonfinite: int = 0
    detections: int = 0
    latency_p50_ms: float = 0.0
    latency_p95_ms: float = 0.0
    provider_ok: bool = True
    rss_mb: float = 0.0
    counts: Mapping[str, list[int]] = field(default_factory=dict)

    @cached_property
    def encoded(self) -> str:
        """Its JSON, made once: it is written 64 times."""
        return json.dumps({one.name: getattr(self, one.name) for one in fields_of(self)})


@dataclass(frozen=True)
class ModelHealth:
    """One model: what runs, what was wanted, and its last windows.

    Attributes:
        release, version: what is loaded ("" and 0 for nothing).
        state: ``running``, ``waiting`` (no release yet), ``failed`` or ``stopped`` (ended by
            somebody, not by a crash).
        error: why something failed, or "".
        failed: the digest that `error` is about; another release may be ``running`` meanwhile.
        fallback_reason: why another provider is active than the wanted one, or "".
    """

    model: str
    release: str
    version: int
    state: str
    error: str
    provider: str
    windows: tuple[Window, ...]
    failed: str = ""
    fallback_reason: str = ""

    @property
    def encoded(self) -> str:
        """Its JSON."""
        windows = ", ".join(window.encoded for window in self.windows)
        return _with({**vars(self), "windows": None}, "windows", f"[{windows}]")


@dataclass(frozen=True)
class Health:
    """The whole file.

    Attributes:
        at: wall-clock seconds.
        disk: ``disk stalled: …`` while a disk does not answer, else "".
    """

    at: float
    boot: str
    pid: int
    models: Mapping[str, ModelHealth]
    disk: str = ""

    def write(self, path: Path) -> None:
        """Replace the health file (not fsynced: it is worthless after a reboot)."""
        models = ", ".join(
            f"{json.dumps(name)}: {model.encoded}" for name, model in self.models.items()
        )
        text = _with({"v": 1, **vars(self)}, "models", f"{{{models}}}")
        write_atomic(path, text.encode(), durable=False)

    @classmethod
    def read(cls, path: Path) -> Health | None:
        """The last health written, or None when there is none or it is not readable."""
        try:
            return _parse(path.read_bytes())
        except (OSError, OutpostError):
            return None


def _with(values: Mapping[str, Any], name: str, encoded: str) -> str:
    """A JSON object of these values, one of which is encoded already."""
    rest = json.dumps({key: value for key, value in values.items() if key != name})
    return f"{rest[:-1]}, {json.dumps(name)}: {encoded}}}"


def _parse(data: bytes) -> Health:
    try:
        document = json.loads(data)
    except ValueError as error:
        raise OutpostError(f"health.json: not JSON ({error})") from None
    fields = Fields(document)
    models = fields.table("models")
    health = Health(
        at=fields.number("at"),
        boot=fields.text("boot"),
        pid=fields.integer("pid"),
        models={name: _model(models.table(name)) for name in models.names()},
        disk=fields.text("disk", ""),
    )
    if fields.faults:
        raise OutpostError("health.json: " + "; ".join(fields.faults))
    return health


def _model(fields: Fields) -> ModelHealth:
    return ModelHealth(
        model=fields.text("model"),
        release=fields.text("release"),
        version=fields.integer("version"),
        state=fields.text("state"),
        error=fields.text("error"),
        provider=fields.text("provider"),
        windows=tuple(_window(item) for item in fields.tables("windows")),
        failed=fields.text("failed", ""),
        fallback_reason=fields.text("fallback_reason", "", most=100_000),
    )


def _window(fields: Fields) -> Window:
    whole = ("captured", "inferred", "skipped", "dropped", "errors", "nonfinite", "detections")
    real = ("latency_p50_ms", "latency_p95_ms", "rss_mb")
    counts = fields.mapping("counts")
    values: dict[str, Any] = {name: fields.integer(name, 0, least=0) for name in whole}
    values |= {name: fields.number(name, 0.0) for name in real}
    return Window(
        seq=fields.integer("seq"),
        at=fields.number("at"),
        release=fields.text("release"),
        provider_ok=fields.boolean("provider_ok", True),
        counts={name: [int(n) for n in row] for name, row in counts.items()},
        **values,
    )
