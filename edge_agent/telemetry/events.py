"""What the agent says about its releases and their outputs: pure functions, one per message."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from edge_agent import __version__
from edge_agent.drift.grouping import BLOCK
from edge_agent.drift.skew import SkewVerdict
from edge_agent.drift.watch import Judged
from edge_agent.errors import StorageError
from edge_agent.loop.follow import Change
from edge_agent.loop.loaded import Loaded
from edge_agent.metrics import INFO, Message, event
from edge_agent.telemetry.outbox import Outbox


def started_event(text: str, outbox: Outbox) -> Message:
    """``agent.started``, with the last boot and its last number: a reader then knows its end."""
    before = None
    with suppress(StorageError):  # told by whoever sends this
        before = outbox.life()
    previous = {"previous_boot": before.boot, "previous_seq": before.seq} if before else {}
    return event("agent.started", "info", text, agent=__version__, **previous)


_WITHOUT = {"failed": ("model.failed", "error"), "held": ("model.held", "warning")}


def change_events(model: str, change: Change) -> list[Message]:
    """What a change means.

    ``model.loaded`` for the first release, ``model.swapped`` for the next, ``model.failed`` or
    ``model.held``; ``provider.fallback`` when another provider runs it than the wanted one, and
    ``provider.restored`` when that is over.
    """
    if change.loaded is None:
        kind, severity = _WITHOUT[change.kind]
        return [event(kind, severity, change.text, model=model, release=change.digest)]
    told = [_loaded_event(model, change, change.loaded)]
    if not change.loaded.provider_ok:
        told.append(_provider_event(model, "provider.fallback", "warning", change.loaded))
    elif change.before is not None and not change.before.provider_ok:
        told.append(_provider_event(model, "provider.restored", "info", change.loaded))
    return told


def provider_text(model: str, loaded: Loaded) -> str:
    """On what a release runs, and why not on what was wanted."""
    detector = loaded.detector
    text = f"{model}: runs on {detector.provider}"
    if loaded.provider_ok:
        return text
    return f"{text}, not on {detector.wanted_provider} ({detector.fallback_reason})"


def _provider_event(model: str, kind: str, severity: str, loaded: Loaded) -> Message:
    detector = loaded.detector
    return event(
        kind,
        severity,
        provider_text(model, loaded),
        model=model,
        provider=detector.provider,
        wanted_provider=detector.wanted_provider,
        reason=detector.fallback_reason,
    )


def _loaded_event(model: str, change: Change, loaded: Loaded) -> Message:
    before = change.before
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


def finite_event(model: str, nonfinite: int, inferred: int) -> Message:
    """``output.nonfinite`` when frames of a window gave NaN or Inf, else ``output.finite``."""
    if not nonfinite:
        return event("output.finite", "info", f"{model}: every output is finite again", model=model)
    text = f"{model}: the network gave NaN or Inf on {nonfinite} of {inferred} frames"
    return event("output.nonfinite", "error", text, model=model, nonfinite=nonfinite)


def drift_event(model: str, judged: Judged) -> Message:
    """``drift.suspected`` or ``drift.cleared`` of one camera, against its own past."""
    about = {"model": model, "camera": judged.camera, "against": "baseline"}
    if not judged.after.raised:
        text = f"{model}: camera {judged.camera} is as it used to be again"
        return event("drift.cleared", "info", text, **about)
    found = [one for one in judged.verdict.findings if one.feature in judged.after.raised]
    found.sort(key=lambda one: one.rate)
    named = ", ".join(
        f"{one.feature} ({one.test} {one.effect:+.2f}, {BLOCK * one.blocks} frames)"
        for one in found
    )
    text = (
        f"{model}: camera {judged.camera} differs from its own past in {named}; suspect the scene"
        " or the model"
    )
    evidence = {
        f"{name}_{one.feature}": float(f"{value:.3g}")
        for one in found
        for name, value in (("effect", one.effect), ("chance", one.rate))
    }
    features = [one.feature for one in found]
    return event("drift.suspected", "warning", text, features=features, **about, **evidence)


def skew_event(model: str, verdict: SkewVerdict) -> Message:
    """``drift.suspected`` or ``drift.cleared`` against the profile, with PSI as evidence."""
    evidence = {f"psi_{name}": round(value, 4) for name, value in verdict.psi.items()}
    about = {"model": model, "against": "profile"}
    if not verdict.differs:
        text = f"{model}: the outputs are distributed as in the profile again"
        return event("drift.cleared", "info", text, **about, **evidence)
    named = ", ".join(
        f"{name} {verdict.psi[name]:.2f}, allowed {verdict.limits[name]:.2f}"
        for name in verdict.differs
    )
    text = (
        f"{model}: outputs differ from the profile (PSI of {named}, over"
        f" {verdict.frames} frames that the gate passed); suspect the scene or the model"
    )
    return event("drift.suspected", "warning", text, **about, **evidence)


def info_message(loaded: Mapping[str, Loaded], tags: Mapping[str, Any]) -> Message:
    """``up/info``, retained: what runs, and on what."""
    models = {
        name: {
            "version": release.version,
            "digest": release.digest,
            "variant": release.variant,
            "provider": release.detector.provider,
            "wanted_provider": release.detector.wanted_provider,
            "fallback_reason": release.detector.fallback_reason,
            "embedding": release.embedding,
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
