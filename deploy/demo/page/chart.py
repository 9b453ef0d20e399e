"""Line charts over one time axis as inline SVG, without a library: text in, text out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 1080
LEFT = 64
RIGHT = 16
PANEL = 118
GAP = 34
TOP = 54
AXIS = 34


@dataclass(frozen=True)
class Series:
    """One line: points (seconds, value); a gap longer than ``gap_s`` breaks it."""

    name: str
    css: str
    points: Sequence[tuple[float, float]]
    gap_s: float = 5.0


@dataclass(frozen=True)
class Panel:
    """One chart of the stack. ``limits`` are horizontal lines: (value, label)."""

    title: str
    series: Sequence[Series]
    low: float | None = None
    high: float | None = None
    limits: Sequence[tuple[float, str]] = ()


@dataclass(frozen=True)
class Band:
    """A coloured stretch of time above all panels, e.g. the version that ran."""

    start: float
    end: float
    label: str
    css: str


@dataclass(frozen=True)
class Mark:
    """A moment: a vertical line through all panels with a number that a table explains."""

    t: float
    label: str
    css: str
    title: str


def timeline(
    *,
    end: float,
    bands: Iterable[Band],
    shades: Iterable[Band],
    marks: Iterable[Mark],
    panels: Sequence[Panel],
) -> str:
    """Draw the stack.

    Args:
        end: seconds at the right edge; the left edge is 0.
        bands: what ran when, as a strip on top.
        shades: stretches behind all panels (a fault that was going on).
        marks: numbered moments.
        panels: charts from top to bottom.

    Returns:
        One ``<svg>`` element; colours come from the page's style sheet.
    """
    scale = _Scale(end)
    height = TOP + len(panels) * (PANEL + GAP) + AXIS
    bottom = height - AXIS
    parts = [f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="timeline">']
    parts += [_shade(scale, shade, bottom) for shade in shades]
    parts += [_band(scale, band) for band in bands]
    for index, panel in enumerate(panels):
        parts += _panel(scale, panel, TOP + GAP - 8 + index * (PANEL + GAP))
    parts += _marks(scale, sorted(marks, key=lambda mark: mark.t), bottom)
    parts += _axis(scale, bottom)
    parts.append("</svg>")
    return "\n".join(parts)


@dataclass(frozen=True)
class _Scale:
    end: float

    def x(self, t: float) -> float:
        share = min(max(t / self.end, 0.0), 1.0) if self.end > 0 else 0.0
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)


def _band(scale: _Scale, band: Band) -> str:
    x, width = scale.x(band.start), max(scale.x(band.end) - scale.x(band.start), 2.0)
    label = f'<text x="{x + 7}" y="39">{escape(band.label)}</text>' if width > 26 else ""
    return (
        f'<g class="band {band.css}"><rect x="{x}" y="25" width="{width:.1f}" height="20" rx="3">'
        f"<title>{escape(band.label)}</title></rect>{label}</g>"
    )


def _shade(scale: _Scale, shade: Band, bottom: float) -> str:
    x, width = scale.x(shade.start), scale.x(shade.end) - scale.x(shade.start)
    rect = f'<rect x="{x}" y="50" width="{width:.1f}" height="{bottom - 50}"/>'
    text = f'<text x="{x + 5}" y="{bottom - 14}">{escape(shade.label)}</text>'
    return f'<g class="shade {shade.css}">{rect}{text}</g>'


def _marks(scale: _Scale, marks: Sequence[Mark], bottom: float) -> list[str]:
    parts, last = [], -99.0
    for mark in marks:
        x = scale.x(mark.t)
        text_x = max(x, last + 17)  # numbers of moments close together stand side by side
        last = text_x
        parts.append(
            f'<g class="mark {mark.css}"><title>{escape(mark.title)}</title>'
            f'<line x1="{x}" x2="{x}" y1="22" y2="{bottom}"/>'
            f'<circle cx="{text_x}" cy="12" r="8"/>'
            f'<text x="{text_x}" y="15.5">{escape(mark.label)}</text></g>'
        )
    return parts


def _panel(scale: _Scale, panel: Panel, top: float) -> list[str]:
    low, high = _range(panel)
    y = _vertical(top, low, high)
    ticks = _ticks(low, high)
    parts = [f'<text class="title" x="{LEFT}" y="{top - 7}">{escape(panel.title)}</text>']
    parts.append(_legend(panel, top - 7))
    for tick in ticks:
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick)}" y2="{y(tick)}"/>'
            f'<text class="tick" x="{LEFT - 8}" y="{y(tick) + 4}">{_number(tick)}</text>'
        )
    for value, label in panel.limits:
        if low <= value <= high:
            parts.append(
                f'<line class="limit" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value)}"'
                f' y2="{y(value)}"/><text class="limit" x="{WIDTH - RIGHT}" y="{y(value) - 4}">'
                f"{escape(label)}</text>"
            )
    for series in panel.series:
        for run in _runs(series):
            path = " ".join(f"{scale.x(t)},{y(min(max(v, low), high))}" for t, v in run)
            parts.append(f'<polyline class="line {series.css}" points="{path}"/>')
    return parts


def _legend(panel: Panel, y: float) -> str:
    x = LEFT + 8 * len(panel.title) + 14
    parts = []
    for series in panel.series:
        parts.append(
            f'<line class="line {series.css}" x1="{x}" x2="{x + 18}" y1="{y - 4}" y2="{y - 4}"/>'
            f'<text class="legend" x="{x + 23}" y="{y}">{escape(series.name)}</text>'
        )
        x += 34 + 7 * len(series.name)
    return "".join(parts)


def _vertical(top: float, low: float, high: float) -> _Vertical:
    return _Vertical(top, low, high)


@dataclass(frozen=True)
class _Vertical:
    top: float
    low: float
    high: float

    def __call__(self, value: float) -> float:
        return round(self.top + PANEL * (1 - (value - self.low) / (self.high - self.low)), 1)


def _range(panel: Panel) -> tuple[float, float]:
    values = [v for series in panel.series for _, v in series.points if math.isfinite(v)]
    low = panel.low if panel.low is not None else min(values, default=0.0)
    high = panel.high if panel.high is not None else max([*values, low]) * 1.08
    return (low, high) if high > low else (low, low + 1.0)


def _ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / 3
    power = 10 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough)
    first = math.ceil(low / step - 1e-9)
    return [round(n * step, 10) for n in range(first, int(high / step + 1e-9) + 1)]


def _runs(series: Series) -> list[list[tuple[float, float]]]:
    runs: list[list[tuple[float, float]]] = []
    for point in series.points:
        if not math.isfinite(point[1]):
            continue
        if runs and point[0] - runs[-1][-1][0] <= series.gap_s:
            runs[-1].append(point)
        else:
            runs.append([point])
    return runs


def _axis(scale: _Scale, bottom: float) -> list[str]:
    step = next(s for s in (5, 10, 15, 30, 60, 120, 300, 600, 3600) if scale.end / s <= 14)
    parts = []
    for tick in range(0, int(scale.end) + 1, step):
        x = scale.x(tick)
        parts.append(
            f'<line class="grid" x1="{x}" x2="{x}" y1="{bottom}" y2="{bottom + 4}"/>'
            f'<text class="time" x="{x}" y="{bottom + 18}">{tick // 60}:{tick % 60:02d}</text>'
        )
    return parts


def _number(value: float) -> str:
    return f"{value:g}"
