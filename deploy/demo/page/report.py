"""build/demo/report.html: the whole demo on one self-contained page."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from deploy.demo import facts
from deploy.demo.page.chart import Band, Mark, Panel, Series, timeline
from deploy.demo.recorder import Recording
from edge_agent.metrics import METRICS_INPUT, METRICS_SYSTEM

_GOOD = {"COMMITTED"}
_BAD = {"FAILED", "ROLLED_BACK"}
_SHOWN = {"TRIAL", "COMMITTED", "FAILED", "ROLLING_BACK", "ROLLED_BACK"}


@dataclass(frozen=True)
class Picture:
    """A frame with its detections drawn, and what it shows."""

    path: Path
    caption: str


def render(
    document: dict[str, Any],
    recording: Recording,
    pictures: Sequence[Picture],
    *,
    ssim_min: float | None,
) -> str:
    """Build the page.

    Args:
        document: the content of report.json.
        recording: everything that was received.
        pictures: frames to show.
        ssim_min: the gate's threshold, drawn as a limit.
    """
    # The broker came up after the demo had begun, and the page is about what came over it.
    end = max([message.t for message in recording.messages], default=0.0) + 1.0
    steps = [step for step in facts.transitions(recording) if step.target in _SHOWN]
    faults = facts.input_faults(recording, end)
    style = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
    good = bool(document["ok"])
    verdict = "everything as claimed" if good else "something is not as claimed"
    body = [
        f'<h1>Outpost: one line, four model versions <span class="verdict '
        f'{"good" if good else "bad"}">{verdict}</span></h1>',
        '<p class="soft">Two good models and two bad ones, promoted in an MLflow registry, went to'
        " one device on a simulated inspection line. Everything below came over the"
        f" {escape(str(document['broker']))} broker from the processes that a device runs.</p>",
        _figures(document),
        "<h2>What ran, and how it was</h2>",
        f'<div class="card">{_timeline(recording, end, steps, faults, ssim_min)}</div>',
        "<h2>What was decided, and why</h2>",
        f'<div class="card">{_table(steps, faults)}</div>',
        "<h2>What the models saw</h2>",
        '<div class="pictures">' + "".join(_figure(picture) for picture in pictures) + "</div>",
        "<h2>What was checked</h2>",
        _checks(document["checks"]),
        "<footer>Made by <code>make demo</code>. The same facts for scripts:"
        " <code>report.json</code> beside this file.</footer>",
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Outpost demo</title><style>{style}</style></head><body>"
        + "\n".join(body)
        + "</body></html>\n"
    )


def _figures(document: dict[str, Any]) -> str:
    frames = document["frames"]
    banned = ", ".join(f"v{item['version']}" for item in document["final"]["banned"]) or "none"
    cells = [
        (f"v{document['final']['current_version']}", "runs at the end"),
        (banned, "banned on this device"),
        (f"{frames['inferred']:,}", f"frames inferred of {frames['captured']:,} captured"),
        (f"{frames['skipped_by_gate']:,}", "kept from the model by the input check"),
        (f"{frames['dropped_during_swaps']}", f"frames dropped in {frames['swaps']} model swaps"),
        (f"{document['latency_ms']['p50']:.1f} ms", "median latency of a frame"),
        (f"{document['ssim']['median']:.2f}", "median SSIM against the reference"),
        (f"{document['metrics_received']:,}", f"metrics, {document['events_received']} events"),
    ]
    boxes = "".join(f"<div><b>{escape(b)}</b>{escape(text)}</div>" for b, text in cells)
    return f'<div class="figures">{boxes}</div>'


def _timeline(
    recording: Recording,
    end: float,
    steps: Sequence[facts.Transition],
    faults: Sequence[tuple[float, float, str]],
    ssim_min: float | None,
) -> str:
    system, inputs = recording.of(METRICS_SYSTEM), recording.of(METRICS_INPUT)
    marks = [
        Mark(step.t, str(number), _tone(step.target), f"{step.release} {step.target}")
        for number, step in enumerate(steps, 1)
    ]
    limits = [(ssim_min, f"least allowed {ssim_min:.2f}")] if ssim_min is not None else []
    psi = facts.worst_drift(recording)
    top = max([value * 1.08 for _, value in psi] + [1.3])
    return timeline(
        end=end,
        bands=[Band(a, b, f"v{v}", f"v{v}") for a, b, v in facts.running(recording, end)],
        shades=[Band(a, b, "input not fit to judge", "fault") for a, b, _ in faults],
        marks=marks,
        panels=[
            Panel(
                "Latency per frame, ms",
                [
                    Series("p95", "b", facts.points(system, "latency_p95_ms")),
                    Series("median", "a", facts.points(system, "latency_p50_ms")),
                ],
                low=0.0,
            ),
            Panel(
                "SSIM against the reference",
                [Series("median of the window", "c", facts.points(inputs, "ssim_p50"))],
                low=0.0,
                high=1.0,
                limits=limits,
            ),
            Panel(
                "PSI against the bundle's profile, over its limit",
                [Series("largest of all output features", "a", psi, gap_s=30.0)],
                low=0.0,
                high=top,
                limits=[(1.0, "reported above 1")],
            ),
        ],
    )


def _tone(target: str) -> str:
    return "good" if target in _GOOD else "bad" if target in _BAD else "plain"


def _table(steps: Sequence[facts.Transition], faults: Sequence[tuple[float, float, str]]) -> str:
    rows = [
        (step.t, str(number), _tone(step.target), f"v{step.version}", step.target, step.reason)
        for number, step in enumerate(steps, 1)
    ]
    rows += [(start, "!", "warn", "", "input problem", text) for start, _, text in faults]
    cells = "".join(
        f'<tr><td><span class="dot {tone}">{mark}</span></td><td class="n">{_clock(t)}</td>'
        f'<td class="n">{escape(version)}</td><td class="n">{escape(what)}</td>'
        f"<td>{escape(why)}</td></tr>"
        for t, mark, tone, version, what, why in sorted(rows, key=lambda row: row[0])
    )
    head = "<tr><th></th><th>time</th><th>version</th><th>became</th><th>because</th></tr>"
    return f"<table>{head}{cells}</table>"


def _figure(picture: Picture) -> str:
    data = base64.b64encode(picture.path.read_bytes()).decode()
    kind = "png" if picture.path.suffix == ".png" else "jpeg"
    return (
        f'<figure><img alt="{escape(picture.caption)}" src="data:image/{kind};base64,{data}">'
        f"<figcaption>{escape(picture.caption)}</figcaption></figure>"
    )


def _checks(checks: Sequence[dict[str, Any]]) -> str:
    items = "".join(
        f'<li class="{"good" if check["ok"] else "bad"}">{escape(check["text"])}</li>'
        for check in checks
    )
    return f'<ul class="checks">{items}</ul>'


def _clock(t: float) -> str:
    return f"{int(t) // 60}:{t % 60:04.1f}"
