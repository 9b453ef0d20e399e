"""The input check: ``[gate]``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge_agent.checked import Fields, nearest
from edge_agent.config.shapes import Polygon, parse_shapes

CHECKS = (
    "schema",
    "freeze",
    "displacement",
    "exposure",
    "blur",
    "occlusion",
    "noise",
    "ssim",
    "rate",
)
"""What is checked of each frame; of several that fail, the first here is the one to name."""

ACTIONS = ("skip", "flag", "pass")
VIEW_PATTERN = r"[a-z0-9-]{1,32}"
"""The name of a reference that a camera was calibrated with."""


@dataclass(frozen=True)
class Gate:
    """``[gate]``: the input check.

    Attributes:
        action: what a failed check means for a frame, unless `checks` says otherwise: ``skip``
            keeps it from the model; ``flag`` lets the model judge, raises the alarm and keeps the
            frame out of the drift statistics; ``pass`` only counts.
        checks: what one check means, by its name in `CHECKS`; every check has its entry.
        ssim_min: least SSIM against the reference; None takes what was learnt.
        width: width in pixels to which frames are reduced for the check; a calibrated camera has
            that of its calibration.
        raise_after, clear_after: frames in a row that raise and clear the alarm of a check.
        ignore: camera id -> polygons that a calibration leaves out of the comparison.
    """

    enabled: bool
    action: str
    checks: Mapping[str, str]
    ssim_min: float | None
    width: int
    raise_after: int
    clear_after: int
    ignore: Mapping[str, tuple[Polygon, ...]]


def parse_gate(fields: Fields) -> Gate:
    """Read ``[gate]``; faults are noted in ``fields``."""
    action = fields.text("action", "skip", choices=ACTIONS)
    gate = Gate(
        enabled=fields.boolean("enabled", True),
        action=action,
        checks=_checks(fields.table("checks", optional=True), action),
        ssim_min=fields.number("ssim_min", least=-1.0, most=1.0)
        if fields.has("ssim_min")
        else None,
        width=fields.integer("width", 160, least=32, most=8192),
        raise_after=fields.integer("raise_after", 5, least=1),
        clear_after=fields.integer("clear_after", 10, least=1),
        ignore=parse_shapes(fields.table("ignore", optional=True)),
    )
    fields.close()
    return gate


def _checks(fields: Fields, action: str) -> dict[str, str]:
    for name in fields.names():
        if name not in CHECKS:
            fields.fault(name, f"is not a check ({', '.join(CHECKS)}){nearest(name, CHECKS)}")
    # Frames that come too slowly are no worse for it: they are not kept from the model.
    usual = dict.fromkeys(CHECKS, action) | ({"rate": "flag"} if action == "skip" else {})
    return {name: fields.text(name, usual[name], choices=ACTIONS) for name in CHECKS}
