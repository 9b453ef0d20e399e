"""The reference profile as small bar charts in SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from edge_agent.monitors.histogram import CLASS_FEATURE, EDGES, INPUT_FEATURES, OUTPUT_FEATURES
from edge_agent.monitors.profile import Profile

_WIDTH, _HEIGHT, _BASE = 260, 84, 66
_TITLES = {
    "score": "score of a detection",
    "detections_per_frame": "detections per frame",
    "box_area": "box area, share of the frame",
    "box_aspect": "box width over height",
    "class": "class",
    "luminance": "grey level of the picture",
    "contrast": "contrast of the picture",
    "sharpness": "sharpness, log10",
    "ssim": "SSIM against the reference",
}


def profile_charts(profile: Profile, classes: Sequence[str]) -> str:
    """One figure per feature that was counted."""
    counts = profile.histograms.counts
    names = [name for name in (*OUTPUT_FEATURES, *INPUT_FEATURES) if counts[name].sum()]
    return "".join(_chart(name, counts[name].tolist(), classes) for name in names)


def _chart(name: str, counts: Sequence[int], classes: Sequence[str]) -> str:
    step, top = _WIDTH / len(counts), max(counts)
    gap = min(2.0, step / 3)  # hundreds of classes make bars of less than a pixel
    bars = []
    for index, count in enumerate(counts):
        height = (_BASE - 4) * count / top
        text = f"{_bin(name, index, classes)}: {count}"
        bars.append(
            f'<rect x="{index * step + gap / 2:.2f}" y="{_BASE - height:.1f}"'
            f' width="{step - gap:.2f}" height="{height:.1f}"><title>{escape(text)}</title></rect>'
        )
    first, last = (_bin(name, index, classes) for index in (0, len(counts) - 1))
    title = _TITLES.get(name, name)
    return (
        f'<figure class="chart"><figcaption>{escape(title)}</figcaption>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{''.join(bars)}"
        f'<line x1="0" y1="{_BASE}" x2="{_WIDTH}" y2="{_BASE}"/>'
        f'<text x="0" y="{_HEIGHT - 3}">{escape(first)}</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT - 3}" text-anchor="end">{escape(last)}</text>'
        "</svg></figure>"
    )


def _bin(name: str, index: int, classes: Sequence[str]) -> str:
    """The range of a bin in words."""
    if name == CLASS_FEATURE:
        text = classes[index]
        return text if len(text) <= 18 else text[:17] + "…"
    edges = EDGES[name]
    if index == 0:
        return f"below {edges[0]:g}"
    if index == len(edges):
        return f"above {edges[-1]:g}"
    return f"{edges[index - 1]:g} to {edges[index]:g}"
