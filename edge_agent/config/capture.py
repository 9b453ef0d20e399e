"""Which frames are kept for relabelling, and what never gets into them: ``[capture]``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_agent.captures.reasons import REASONS
from edge_agent.checked import Fields, nearest

FORMATS = ("jpeg", "png")
Polygon = tuple[tuple[float, float], ...]


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
        masks=_masks(fields.table("masks", optional=True)),
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


def _masks(fields: Fields) -> dict[str, tuple[Polygon, ...]]:
    return {name: _polygons(fields, name) for name in fields.names()}


def _polygons(fields: Fields, camera: str) -> tuple[Polygon, ...]:
    """The shapes of one camera; a rectangle becomes the polygon of its corners."""
    shapes = []
    for shape in fields.number_lists(camera):
        if len(shape) < 4 or len(shape) % 2:
            fields.fault(
                camera,
                f"{list(shape)} should be x0, y0, x1, y1 of a rectangle"
                " or x, y of each corner of a polygon",
            )
        elif not all(0.0 <= value <= 1.0 for value in shape):
            fields.fault(
                camera, f"{list(shape)} should be shares of width and height, between 0 and 1"
            )
        elif min(len(set(shape[::2])), len(set(shape[1::2]))) < 2:
            fields.fault(camera, f"{list(shape)} has no area; it would hide nothing")
        else:
            shapes.append(_corners(shape))
    return tuple(shapes)


def _corners(shape: tuple[float, ...]) -> Polygon:
    if len(shape) == 4:
        x0, y0, x1, y1 = shape
        return ((x0, y0), (x1, y0), (x1, y1), (x0, y1))
    return tuple(zip(shape[::2], shape[1::2], strict=True))
