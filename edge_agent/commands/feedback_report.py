"""The report of `edge-agent feedback` as text that fits a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from edge_agent.checked import plural
from edge_agent.console import TABLE_COLUMNS, table
from edge_agent.feedback.report import (
    ClassFigures,
    Evidence,
    Figures,
    Rate,
    Report,
    SliceFigures,
)
from edge_agent.feedback.weight import ASSUMED_S

_COLUMNS = ("RIGHT", "WRONG", "MISSED", "PRECISION", "RECALL")
_LONGEST = 28  # letters of a name; the figures beside it need the rest of the line
_MISTAKES = 20


def lines(report: Report, by: str) -> Iterator[str]:
    """The report, line by line.

    Args:
        report: what was counted.
        by: dimension whose slices are shown with classes and confusions; "" for a line each.
    """
    yield from _evidence(report.evidence)
    if not report.classes:
        yield "nothing to count yet; see edge-agent feedback right --help"
        return
    if by:
        for one in report.slices:
            if one.dimension == by:
                yield from ("", f"{one.dimension} {one.name}")
                yield from _figures(one)
    else:
        yield ""
        yield from _figures(report)
        yield ""
        yield table(("SLICE", *_COLUMNS), [_row(_slice(one), one.whole) for one in report.slices])
    cameras = sorted(one.name for one in report.slices if one.dimension == "camera")
    yield from ("", *_footnotes(report.evidence, cameras))


def _evidence(evidence: Evidence) -> Iterator[str]:
    yield (
        f"{plural(evidence.frames, 'frame')}, {evidence.labelled} of them labelled;"
        f" {plural(evidence.unjoined, 'verdict')} about frames that are not known"
    )
    if evidence.unfit:
        count = plural(evidence.unfit, "verdict")
        yield f"{count} left out: no such class, or no such detection, in the frame"
    if evidence.repeated or evidence.overruled:
        yield (
            f"said again: {evidence.repeated}; overruled by something newer: {evidence.overruled}"
            " (the newest counts)"
        )


def _figures(figures: Figures) -> Iterator[str]:
    rows = [_row(one.name, one) for one in (*figures.classes, figures.whole)]
    yield table(("CLASS", *_COLUMNS), rows)
    yield ""
    matrix = table(
        ("", *map(_short, figures.names)),
        [(_short(name), *row) for name, row in zip(figures.names, figures.confusion, strict=True)],
    )
    if max(map(len, matrix.splitlines())) <= TABLE_COLUMNS:
        yield "What is there (rows), and what was reported (columns):"
        yield matrix
        return
    yield f"What was most often something else (at most {_MISTAKES}; --json has the whole matrix):"
    mistakes = figures.confusions()[:_MISTAKES]
    cells = [(_short(truth), _short(found), times) for truth, found, times in mistakes]
    yield table(("THERE IS", "REPORTED", "TIMES"), cells)


def _footnotes(evidence: Evidence, cameras: list[str]) -> Iterator[str]:
    yield "Precision and recall with 95 % intervals (Wilson). Frames of a camera that are near in"
    yield "time count as less than one look each, by how long its pictures resemble each other:"
    known = evidence.independent_s
    for camera in cameras:
        seconds = known.get(camera)
        source = "assumed; edge-agent calibrate measures it" if seconds is None else "calibrated"
        yield f"  {camera}: {seconds or ASSUMED_S:.3g} s ({source})"


def _slice(one: SliceFigures) -> str:
    return f"{one.dimension} {one.name}"


def _row(name: str, figures: ClassFigures) -> tuple[object, ...]:
    rates = (_rate(figures.precision), _rate(figures.recall))
    return (_short(name), figures.right, figures.wrong, figures.missed, *rates)


def _rate(rate: Rate | None) -> str | None:
    return None if rate is None else f"{rate.value:.2f} ({rate.low:.2f} to {rate.high:.2f})"


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"
