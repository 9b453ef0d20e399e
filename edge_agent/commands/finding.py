"""What a check of `edge-agent doctor` found, and how a person or a script reads it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from edge_agent.console import paint

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: ``ok``, ``warn`` or ``fail``.
        what: was looked at.
        why: it is so; for ``ok`` what was seen.
        next: what to do, "" when there is nothing to do.
    """

    level: str
    what: str
    why: str
    next: str = ""


def as_json(findings: Sequence[Finding]) -> str:
    """A JSON list of findings."""
    return json.dumps([asdict(finding) for finding in findings], indent=2)


def as_text(findings: Sequence[Finding], colour: Callable[[str, str], str] = paint) -> str:
    """One line per finding, and one more with the next step where there is one."""
    lines = []
    for finding in findings:
        level = colour(finding.level.ljust(4), _COLOURS[finding.level])
        lines.append(f"{level}  {finding.what}: {finding.why}")
        if finding.next:
            lines.append(f"      -> {finding.next}")
    return "\n".join(lines)
