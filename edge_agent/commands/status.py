"""`edge-agent status`: the health file, for a person or a script."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from edge_agent.config import Config
from edge_agent.console import table
from edge_agent.health import Health, ModelHealth

STALE_WINDOWS = 3


@dataclass(frozen=True)
class StatusReport:
    """What the agent last wrote, and how old it is.

    Attributes:
        path: of the health file.
        health: None when there is none.
        age_s: seconds since it was written.
        alive: whether it is younger than `STALE_WINDOWS` windows.
    """

    path: Path
    health: Health | None
    age_s: float
    alive: bool

    def as_json(self) -> str:
        """One JSON object; ``{"alive": false}`` when there is no health file."""
        document: dict[str, object] = {"alive": self.alive}
        if self.health is not None:
            document |= {"age_s": round(self.age_s, 1), **asdict(self.health)}
        return json.dumps(document, indent=2)

    def as_text(self) -> str:
        """A table of models, and what is wrong in words."""
        if self.health is None:
            return f"{self.path}: no health file; is the agent running? (edge-agent run)"
        headers = (
            "MODEL", "STATE", "VERSION", "RELEASE", "PROVIDER",
            "FRAMES", "P50 MS", "SKIPPED", "DROPPED", "ERRORS",
        )  # fmt: skip
        models = list(self.health.models.values())
        lines = [table(headers, [_row(model) for model in models])]
        lines += [f"{model.model}: {model.error}" for model in models if model.error]
        lines += [
            f"{model.model}: runs on {model.provider} ({model.fallback_reason})"
            for model in models
            if model.fallback_reason
        ]
        if self.health.disk:
            lines.append(f"{self.health.disk}; frames go on, telemetry waits")
        if not self.alive:
            lines.append(
                f"the last window is {self.age_s:.0f} s old: the agent hangs or is not running"
            )
        return "\n".join(lines)


def read(config: Config, now: float | None = None) -> StatusReport:
    """Read the health file of a configuration's device."""
    path = config.layout.health
    health = Health.read(path)
    age_s = (time.time() if now is None else now) - health.at if health else 0.0
    limit_s = STALE_WINDOWS * max(config.metrics.window_s, 1.0)
    return StatusReport(path, health, age_s, health is not None and age_s <= limit_s)


def _row(model: ModelHealth) -> tuple[str | int | float | None, ...]:
    known = (
        model.model,
        model.state,
        model.version or None,
        model.release[:12] or None,
        model.provider or None,
    )
    if not model.windows:
        return (*known, None, None, None, None, None)
    last = model.windows[-1]
    p50 = round(last.latency_p50_ms, 1)
    return (*known, last.inferred, p50, last.skipped, last.dropped, last.errors)
