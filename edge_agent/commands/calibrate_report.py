"""What a calibration learnt, for a person as a table and for a script as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_agent.checked import plural
from edge_agent.console import table
from edge_agent.gate.baseline import Baseline, Learnt, Reference


@dataclass(frozen=True)
class Row:
    """One measure in the table of what was learnt: its limits, and what they would have done."""

    check: str
    measure: str
    usual: float
    low: float | None
    high: float | None
    worst_score: float
    rejected: int


@dataclass(frozen=True)
class Outcome:
    """What a calibration made, for people and scripts."""

    reference: Reference
    baseline: Baseline
    rows: tuple[Row, ...]
    rejected: int
    left_out: int
    folder: Path
    sheet: Path


def as_json(outcome: Outcome) -> str:
    """One object."""
    reference, learnt = outcome.reference, outcome.reference.learnt
    document: dict[str, Any] = {
        "camera": outcome.baseline.camera,
        "reference": reference.name,
        "references": [one.name for one in outcome.baseline.references],
        "frames": learnt.frames,
        "left_out": outcome.left_out,
        "size": list(outcome.baseline.size),
        "fps": reference.fps,
        "still_share": round(float((learnt.still.mask > 0).mean()), 4),
        "independent_frames": learnt.independent_frames,
        "independent_s": reference.independent_s,
        "rejected": outcome.rejected,
        "checks": [vars(row) for row in outcome.rows],
        "baseline": str(outcome.folder),
        "sheet": str(outcome.sheet),
    }
    return json.dumps(document, indent=2)


def as_text(outcome: Outcome) -> str:
    """A few lines around a table."""
    reference, learnt, baseline = outcome.reference, outcome.reference.learnt, outcome.baseline
    rate = f" at {reference.fps:.1f} per second" if reference.fps is not None else ""
    lines = [
        f"camera {baseline.camera}, reference {reference.name}: {plural(learnt.frames, 'frame')}"
        f" of {baseline.size[0]} x {baseline.size[1]}{rate}",
        _table(outcome.rows),
        f"would have rejected {plural(outcome.rejected, 'frame')} of {learnt.frames}"
        f" ({outcome.rejected / learnt.frames:.2%})",
        _independence(reference, learnt),
    ]
    if outcome.left_out:
        lines.append(f"{plural(outcome.left_out, 'frame')} left out: another size, or unreadable")
    if not learnt.still.aligned:
        lines.append(
            "too little stands still, or it has no edges: a moved camera will not be noticed"
        )
    lines += [
        f"the worst frames, to look at: {outcome.sheet}",
        f"baseline: {outcome.folder}; edge-agent takes it at its next start",
    ]
    return "\n".join(lines)


def _table(rows: Iterable[Row]) -> str:
    cells = [
        [row.check, row.measure, *(_short(v) for v in (row.usual, row.low, row.high)),
         f"{row.worst_score:.2f}", row.rejected]
        for row in rows
    ]  # fmt: skip
    return table(["check", "measure", "usual", "least", "most", "worst score", "rejected"], cells)


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _independence(reference: Reference, learnt: Learnt) -> str:
    slowest = max(learnt.times, key=lambda name: learnt.times[name])
    seconds = reference.independent_s
    time_text = f" ({seconds:.1f} s)" if seconds is not None else ""
    return (
        f"{learnt.independent_frames:.0f} neighbouring frames{time_text} say as much as one, by"
        f" {slowest}"
    )
