"""What is watched and how often it is sent: ``[drift]`` and ``[metrics]``."""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.checked import Fields


@dataclass(frozen=True)
class Drift:
    """``[drift]``: output distribution against the profile.

    Attributes:
        psi_max: population stability index above which a difference matters.
        min_frames: frames per verdict.
        correlated_frames: neighbouring frames that show the same thing; so many are one look.
    """

    psi_max: float
    min_frames: int
    correlated_frames: int


@dataclass(frozen=True)
class Metrics:
    """``[metrics]``: how often a window is closed and sent, and what may wait on disk how long."""

    window_s: float
    outbox_max_mb: float
    outbox_max_age_h: float
    detections: bool


def parse_drift(fields: Fields) -> Drift:
    """Read ``[drift]``; faults are noted in ``fields``."""
    drift = Drift(
        psi_max=fields.number("psi_max", 0.25, least=0.0),
        min_frames=fields.integer("min_frames", 300, least=1),
        correlated_frames=fields.integer("correlated_frames", 10, least=1),
    )
    fields.close()
    return drift


def parse_metrics(fields: Fields) -> Metrics:
    """Read ``[metrics]``; faults are noted in ``fields``."""
    metrics = Metrics(
        window_s=fields.number("window_s", 10.0, least=0.1, most=3600.0),
        outbox_max_mb=fields.number("outbox_max_mb", 64.0, least=0.1),
        outbox_max_age_h=fields.number("outbox_max_age_h", 168.0, least=0.01),
        detections=fields.boolean("detections", False),
    )
    fields.close()
    return metrics
