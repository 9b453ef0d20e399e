"""Which frames are kept for relabelling, and what never gets into them: ``[capture]``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_agent.captures.reasons import REASONS
from edge_agent.checked import Fields, nearest
from edge_agent.config.shapes import Polygon, parse_shapes

FORMATS = ("jpeg", "png")


@dataclass(frozen=True)
class Capture:
    """``[capture]``: keep hard frames on disk. Off unless asked for: pictures may show people.

    Attributes:
        folder: where they are kept; None is ``<data>/captures``.
        reasons: for which frames are kept, of `edge_agent.captures.reasons.REASONS`.
        near: a score this close to the confidence is uncertain.
        baseline_per_hour: frames per hour and camera that are kept at random moments.
        seed: of those moments.
        rare_share: a class in a smaller share than this of the last ``rare_history`` frames is
            rare.
        spacing_s: seconds between two captures of one camera and reason.
        per_minute, per_day: most captures of the device in any 60 seconds and 24 hours.
        reason_share: most of a day's captures that one reason may take, 0..1.
        max_mb: most that all captures take on disk (10^6 bytes).
        reserve_mb: free space that captures never touch (10^6 bytes).
        format: ``jpeg`` or lossless ``png``.
        quality: of JPEG, 1..100.
        masks: camera id -> polygons that are blackened, in shares of width and height.
    """

    enabled: bool
    folder: Path | None
    reasons: tuple[str, ...]
    near: float
    baseline_per_hour: float
    seed: int
    rare_share: float
    rare_history: int
    spacing_s: float
    per_minute: int
    per_day: int
    reason_share: float
    max_mb: float
    reserve_mb: float
    format: str
    quality: int
    masks: Mapping[str, tuple[Polygon, ...]]


def parse_capture(fields: Fields, folder: Path) -> Capture:
    """Read ``[capture]``; faults are noted in ``fields``."""
    where = fields.text("folder", "")
    capture = Capture(
        enabled=fields.boolean("enabled", False),
        folder=folder / where if where else None,
        reasons=_reasons(fields),
        near=fields.number("near", 0.05, least=0.0, most=1.0),
        baseline_per_hour=fields.number("baseline_per_hour", 1.0, least=0.0, most=3600.0),
        seed=fields.integer("seed", 0),
        rare_share=fields.number("rare_share", 0.01, least=0.0, most=1.0),
        rare_history=fields.integer("rare_history", 100_000, least=20, most=10**9),
        spacing_s=fields.number("spacing_s", 10.0, least=0.0),
        per_minute=fields.integer("per_minute", 6, least=1, most=1000),
        per_day=fields.integer("per_day", 500, least=1, most=100_000),
        reason_share=fields.number("reason_share", 0.5, least=0.01, most=1.0),
        max_mb=fields.number("max_mb", 500.0, least=1.0),
        reserve_mb=fields.number("reserve_mb", 500.0, least=0.0),
        format=fields.text("format", "jpeg", choices=FORMATS),
        quality=fields.integer("quality", 92, least=1, most=100),
        masks=parse_shapes(fields.table("masks", optional=True)),
    )
    fields.close()
    return capture


def _reasons(fields: Fields) -> tuple[str, ...]:
    reasons = fields.texts("reasons", REASONS)
    for name in reasons:
        if name not in REASONS:
            known = ", ".join(REASONS)
            fields.fault("reasons", f'"{name}" is not one of {known}{nearest(name, REASONS)}')
    return reasons
