"""The drift watch of a release, from the configuration and what commissioning left on disk."""

from __future__ import annotations

import logging
from collections.abc import Callable

from edge_agent.bundle import Manifest
from edge_agent.clerk import Disk
from edge_agent.config import Config, Model
from edge_agent.drift.camera import CameraWatch
from edge_agent.drift.layout import Layout
from edge_agent.drift.memory import Memory, Release
from edge_agent.drift.sampling import spacing_from
from edge_agent.drift.skew import SkewMonitor
from edge_agent.drift.watch import DriftWatch
from edge_agent.errors import SourceError
from edge_agent.gate import Baseline
from edge_agent.monitors.histogram import INPUT_FEATURES, OUTPUT_FEATURES
from edge_agent.monitors.profile import Profile

log = logging.getLogger(__name__)


def drift_watch(
    config: Config,
    model: Model,
    manifest: Manifest,
    profile: Profile | None,
    clock: Callable[[], float],
    disk: Disk | None = None,
) -> DriftWatch:
    """Watch each camera of a model.

    Models share the device's false alarms by their numbers of cameras; what the cameras of one
    model do with their part is up to `budget.levels`.
    """
    settings, classes = config.drift, len(manifest.classes)
    layout = Layout(classes, embedding=manifest.embedding is not None)
    release = Release(manifest.digest, manifest.variant(model.variant).id)
    cameras, own = {}, {}
    for camera in config.cameras:
        if camera.model == model.name:
            baseline = _baseline(config, camera.id)
            own[camera.id] = SkewMonitor(profile, settings, _comparable(baseline))
            memory = Memory(config.layout.baseline(camera.id), release, layout)
            spacing_s = settings.spacing_s
            if spacing_s is None:
                spacing_s = _learnt(baseline)
            baseline_s = settings.baseline_hours * 3600.0
            watch = CameraWatch(camera.id, memory, baseline_s, spacing_s, disk=disk)
            log.info("camera %s: %s", camera.id, watch.origin)
            cameras[camera.id] = watch
    return DriftWatch(
        cameras,
        SkewMonitor(profile, settings),
        knob=settings.false_alarms_per_month * len(cameras) / max(1, len(config.cameras)),
        classes=classes,
        confidence=manifest.decode.confidence,
        own=own,
        clock=clock,
    )


def _baseline(config: Config, camera: str) -> Baseline | None:
    """What commissioning found; a damaged one the gate tells of."""
    try:
        return Baseline.read(config.layout.baseline(camera))
    except SourceError:
        return None


def _learnt(baseline: Baseline | None) -> float | None:
    """The spacing that commissioning found, None where there was none or it had no clock."""
    seconds = baseline.independent_s if baseline is not None else None
    return None if seconds is None else spacing_from(seconds)


def _comparable(baseline: Baseline | None) -> tuple[str, ...]:
    """Features of a camera that mean in the profile what they mean here.

    A camera that was calibrated is compared with its own reference, and only in what stands still:
    its SSIM is another measure than that of the profile, which is against the bundle's picture.
    """
    inputs = (name for name in INPUT_FEATURES if baseline is None or name != "ssim")
    return (*OUTPUT_FEATURES, *inputs)
