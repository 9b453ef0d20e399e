"""What is watched and how often it is sent: ``[drift]`` and ``[metrics]``."""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.checked import Fields


@dataclass(frozen=True)
class Drift:
    """``[drift]``: each camera against its own past, and the outputs against the profile.

    Attributes:
        false_alarms_per_month: what the device may raise in 30 days while nothing changes.
        spacing_s: seconds between two frames that count; None learns how long frames resemble each
            other. Whoever sets it vouches that frames so far apart are independent.
        baseline_hours: what the first baseline covers at least, so that no shift is missing in it.
        psi_max: population stability index against the profile above which a difference matters.
        profile_frames: sampled frames per comparison with the profile.
    """

    false_alarms_per_month: float
    spacing_s: float | None
    baseline_hours: float
    psi_max: float
    profile_frames: int


@dataclass(frozen=True)
class Metrics:
    """``[metrics]``: how often a window is closed and sent, and what may wait on disk how long."""

    window_s: float
    outbox_max_mb: float
    outbox_max_age_h: float
    detections: bool


def parse_drift(fields: Fields) -> Drift:
    """Read ``[drift]``; faults are noted in ``fields``."""
    known = fields.has("spacing_s")
    drift = Drift(
        false_alarms_per_month=fields.number("false_alarms_per_month", 1.0, least=0.01, most=100.0),
        spacing_s=fields.number("spacing_s", least=0.0, most=86400.0) if known else None,
        baseline_hours=fields.number("baseline_hours", 24.0, least=0.0, most=720.0),
        psi_max=fields.number("psi_max", 0.25, least=0.0, most=1000.0),
        profile_frames=fields.integer("profile_frames", 300, least=10, most=1_000_000),
    )
    fields.close()
    return drift


def parse_metrics(fields: Fields) -> Metrics:
    """Read ``[metrics]``; faults are noted in ``fields``."""
    metrics = Metrics(
        window_s=fields.number("window_s", 10.0, least=0.1, most=3600.0),
        outbox_max_mb=fields.number("outbox_max_mb", 64.0, least=0.1, most=1e6),
        outbox_max_age_h=fields.number("outbox_max_age_h", 168.0, least=0.01, most=87_600.0),
        detections=fields.boolean("detections", False),
    )
    fields.close()
    return metrics
