"""The drift watch of a release, from the configuration and what commissioning left on disk."""

from __future__ import annotations

from collections.abc import Callable

from edge_agent.bundle import Manifest
from edge_agent.config import Config, Model
from edge_agent.drift import memory
from edge_agent.drift.history import Rules
from edge_agent.drift.layout import Layout
from edge_agent.drift.sampling import spacing_from
from edge_agent.drift.skew import SkewMonitor
from edge_agent.drift.watch import CameraWatch, DriftWatch
from edge_agent.errors import SourceError
from edge_agent.gate import Baseline
from edge_agent.monitors.histogram import INPUT_FEATURES, OUTPUT_FEATURES
from edge_agent.monitors.profile import Profile


def drift_watch(
    config: Config,
    model: Model,
    manifest: Manifest,
    profile: Profile | None,
    clock: Callable[[], float],
) -> DriftWatch:
    """Watch each camera of a model; they share the device's budget of false alarms."""
    settings, classes = config.drift, len(manifest.classes)
    layout = Layout(classes, embedding=manifest.embedding is not None)
    rules = Rules(
        settings.false_alarms_per_month / max(1, len(config.cameras)),
        settings.baseline_hours * 3600.0,
    )
    cameras = {}
    for camera in config.cameras:
        if camera.model == model.name:
            path = memory.path_of(config.layout.baseline(camera.id), manifest.digest)
            spacing_s = settings.spacing_s
            if spacing_s is None:
                spacing_s = _learnt(config, camera.id)
            cameras[camera.id] = CameraWatch(camera.id, layout, rules, spacing_s, path)
    return DriftWatch(
        cameras,
        SkewMonitor(profile, settings),
        classes=classes,
        confidence=manifest.decode.confidence,
        own={
            name: SkewMonitor(profile, settings, (*OUTPUT_FEATURES, *INPUT_FEATURES))
            for name in cameras
        },
        clock=clock,
    )


def _learnt(config: Config, camera: str) -> float | None:
    """The spacing that commissioning found, None where there was none or it had no clock."""
    try:
        baseline = Baseline.read(config.layout.baseline(camera))
    except SourceError:  # the gate tells of it
        return None
    times = [one.independent_s for one in baseline.references] if baseline is not None else []
    known = [seconds for seconds in times if seconds is not None]
    return spacing_from(max(known)) if known else None
