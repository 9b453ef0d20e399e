"""The input check: ``[gate]``."""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.checked import Fields


@dataclass(frozen=True)
class Gate:
    """``[gate]``: the input check.

    Attributes:
        action: ``skip`` keeps rejected frames from the model, ``flag`` only reports them.
        ssim_min: least SSIM against the reference; None takes it from the bundle's profile.
        width: width in pixels to which frames are reduced for the check.
        raise_after, clear_after: frames in a row that raise and clear the alarm.
    """

    enabled: bool
    action: str
    ssim_min: float | None
    width: int
    raise_after: int
    clear_after: int


def parse_gate(fields: Fields) -> Gate:
    """Read ``[gate]``; faults are noted in ``fields``."""
    gate = Gate(
        enabled=fields.boolean("enabled", True),
        action=fields.text("action", "skip", choices=("skip", "flag")),
        ssim_min=fields.number("ssim_min", least=-1.0, most=1.0)
        if fields.has("ssim_min")
        else None,
        width=fields.integer("width", 160, least=32, most=8192),
        raise_after=fields.integer("raise_after", 5, least=1),
        clear_after=fields.integer("clear_after", 10, least=1),
    )
    fields.close()
    return gate
