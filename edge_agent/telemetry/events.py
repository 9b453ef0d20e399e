"""What the agent says about its releases and their outputs: pure functions, one per message."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from edge_agent import __version__
from edge_agent.errors import StorageError
from edge_agent.loop.follow import Change
from edge_agent.loop.loaded import Loaded
from edge_agent.metrics import INFO, Message, event
from edge_agent.monitors.drift import DriftVerdict
from edge_agent.telemetry.outbox import Outbox


def started_event(text: str, outbox: Outbox) -> Message:
    """``agent.started``, with the last boot and its last number: a reader then knows its end."""
    before = None
    with suppress(StorageError):  # told by whoever sends this
        before = outbox.life()
    previous = {"previous_boot": before.boot, "previous_seq": before.seq} if before else {}
    return event("agent.started", "info", text, agent=__version__, **previous)


def change_event(model: str, change: Change) -> Message:
    """``model.loaded`` for the first release, ``model.swapped`` for the next, ``model.failed``."""
    loaded, before = change.loaded, change.before
    if loaded is None:
        return event("model.failed", "error", change.text, model=model, release=change.digest)
    return event(
        "model.swapped" if before is not None else "model.loaded",
        "info",
        change.text,
        model=model,
        release=change.digest,
        version=loaded.version,
        from_version=before.version if before is not None else 0,
        seconds=round(change.seconds, 3),
    )


def drift_event(model: str, verdict: DriftVerdict) -> Message:
    """``drift.suspected`` or ``drift.cleared``, with PSI per feature as evidence."""
    evidence = {f"psi_{name}": round(value, 4) for name, value in verdict.psi.items()}
    if not verdict.drifted:
        text = f"{model}: the outputs are distributed as in the profile again"
        return event("drift.cleared", "info", text, model=model, **evidence)
    named = ", ".join(
        f"{name} {verdict.psi[name]:.2f}, allowed {verdict.limits[name]:.2f}"
        for name in verdict.drifted
    )
    text = (
        f"{model}: outputs differ from the profile (PSI of {named}, over"
        f" {verdict.frames} frames that the gate passed); suspect the scene or the model"
    )
    return event("drift.suspected", "warning", text, model=model, **evidence)


def info_message(loaded: Mapping[str, Loaded], tags: Mapping[str, Any]) -> Message:
    """``up/info``, retained: what runs, and on what."""
    models = {
        name: {
            "version": release.version,
            "digest": release.digest,
            "variant": release.variant,
            "provider": release.detector.provider,
            "wanted_provider": release.detector.wanted_provider,
        }
        for name, release in loaded.items()
    }
    payload = {
        "agent": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "tags": dict(tags),
        "models": models,
    }
    return Message(INFO, payload, retain=True, durable=False)
