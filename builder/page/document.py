"""The page itself: what a person asks of a bundle, in the order in which they ask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from builder.inspect import facts, human, proof_text
from builder.page.charts import profile_charts
from builder.page.pictures import class_chips, golden_figures
from edge_agent.bundle import Bundle
from edge_agent.monitors.profile import Profile

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_MOST_CLASSES = 200
_WIDE = 40
_SHOWN_PARITY = {
    "agreement": "boxes agree",
    "mean_iou": "mean IoU",
    "map50": "mAP50",
    "map50_95": "mAP50-95",
    "map50_loss_points": "mAP50 lost",
    "map50_95_loss_points": "mAP50-95 lost",
}


def render_page(bundle: Bundle) -> str:
    """The page as HTML; everything that comes from the bundle is escaped.

    Args:
        bundle: its files are expected to be whole (`Bundle.verify`).

    Raises:
        BundleError: its golden set or profile cannot be read.
    """
    manifest = bundle.manifest
    title = f"{manifest.name} {manifest.version}"
    style = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
    sections = [
        f"<h1>{escape(title)}{_verdict(bundle)}</h1>",
        f'<p class="soft digest">digest {manifest.digest}</p>',
        _figures(bundle),
        _section("Variants and their proof", _variants(bundle), _left_out(bundle)),
        _section("Golden frames", _golden_words(bundle), _pictures(bundle)),
        _section("Classes", f'<div class="card">{_classes(manifest.classes)}</div>'),
        _section("What it is", _pairs(facts(bundle))),
        _section("Where it comes from", *_origin(manifest.source)),
        _profile(bundle),
        _section("What it looks at", _saliency(manifest.document.get("saliency"))),
        _section("Files", _files(bundle)),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head>"
        f"<body>{''.join(sections)}"
        "<footer>Made by edge-builder inspect --html.</footer></body></html>\n"
    )


def _verdict(bundle: Bundle) -> str:
    proven = bundle.manifest.golden.reference == "pytorch"
    text = "proven against PyTorch" if proven else "not compared with PyTorch"
    return f'<span class="verdict {"good" if proven else "warn"}">{text}</span>'


def _figures(bundle: Bundle) -> str:
    manifest = bundle.manifest
    spec = manifest.input
    pairs = [
        (f"{len(manifest.classes)}", "classes"),
        (f"{spec.width} x {spec.height}", "input, pixels"),
        (", ".join(one.id for one in manifest.variants), "variants"),
        (human(sum(entry.size for entry in manifest.files)), f"in {len(manifest.files)} files"),
    ]
    boxes = "".join(f"<div><b>{escape(a)}</b>{escape(b)}</div>" for a, b in pairs)
    return f'<div class="figures">{boxes}</div>'


def _variants(bundle: Bundle) -> str:
    manifest = bundle.manifest
    known = {key for one in manifest.variants for key in one.parity}
    extra = {key: name for key, name in _SHOWN_PARITY.items() if key in known}
    rows = [
        [
            one.id,
            one.precision,
            human(manifest.entry(one.path).size),
            str(one.opset),
            proof_text(one),
            *(_figure(key, one.parity.get(key)) for key in extra),
        ]
        for one in manifest.variants
    ]
    return _table(["variant", "precision", "size", "opset", "proof", *extra.values()], rows)


def _figure(key: str, value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.1%}" if key == "agreement" and isinstance(value, float) else _number(value)


def _left_out(bundle: Bundle) -> str:
    entries = bundle.manifest.document.get("left_out")
    rows = [
        [str(one.get("id", "")), str(one.get("why", ""))]
        for one in (entries if isinstance(entries, list) else [])
        if isinstance(one, dict)
    ]
    return f"<h3>Left out</h3>{_table(['variant', 'why'], rows)}" if rows else ""


def _golden_words(bundle: Bundle) -> str:
    golden, decode = bundle.manifest.golden, bundle.manifest.decode
    limits = "; ".join(
        f"{name}: IoU {one.iou:g}, score ± {one.score:g}" for name, one in golden.tolerance.items()
    )
    finder = "PyTorch" if golden.reference == "pytorch" else "the fp32 graph"
    text = (
        f"{golden.frames} frames and what {finder} finds on them at confidence"
        f" {decode.confidence:g}. A device must reproduce these before the model goes live"
        f" ({limits})."
    )
    if own := ", ".join(one.id for one in bundle.manifest.variants if one.golden):
        text += f" For {own} it is what the graph itself says; the table above judges that."
    return f'<p class="soft">{escape(text)}</p>'


def _pictures(bundle: Bundle) -> str:
    return f'<div class="pictures">{golden_figures(bundle)}</div>'


def _classes(classes: Sequence[str]) -> str:
    more = f" and {len(classes) - _MOST_CLASSES} more" if len(classes) > _MOST_CLASSES else ""
    return class_chips(classes[:_MOST_CLASSES]) + more


def _origin(source: Mapping[str, Any]) -> Iterable[str]:
    """The plain facts, then each table of the source that has something in it."""
    plain = [(name, str(value)) for name, value in source.items() if not _is_group(value) and value]
    yield _pairs(plain)
    for name, value in source.items():
        if isinstance(value, dict) and value:
            inner = _pairs([(str(key), _number(one)) for key, one in value.items()])
        elif isinstance(value, list) and value:
            inner = _table([], [[_number(one)] for one in value])
        else:
            continue
        words = name.replace("_", " ")
        yield f"<details><summary>{escape(words)} ({len(value)})</summary>{inner}</details>"


def _is_group(value: object) -> bool:
    return isinstance(value, (dict, list))


def _profile(bundle: Bundle) -> str:
    profile = Profile.of(bundle)
    if profile is None:
        return ""
    words = f'<p class="soft">{profile.histograms.frames} images of {escape(profile.source)}</p>'
    charts = profile_charts(profile, bundle.manifest.classes)
    return _section("Reference profile", words, f'<div class="charts">{charts}</div>')


def _saliency(document: object) -> str:
    classes = document.get("classes") if isinstance(document, dict) else None
    rows = [
        [str(name), *(_number(one.get(key, "")) for key in ("objects", "on_object", "stability"))]
        for name, one in (classes.items() if isinstance(classes, dict) else [])
        if isinstance(one, dict)
    ]
    head = ["class", "objects", "on the object", "like the version before"]
    return _table(head, rows) if rows else ""


def _files(bundle: Bundle) -> str:
    rows = [[one.path, human(one.size), one.sha256] for one in bundle.manifest.files]
    inner = _table(["path", "size", "SHA-256"], rows)
    return f"<details><summary>{len(rows)} files</summary>{inner}</details>"


def _section(title: str, *parts: str) -> str:
    return f"<h2>{escape(title)}</h2>{''.join(parts)}" if any(parts) else ""


def _pairs(rows: Iterable[tuple[str, str]]) -> str:
    body = "".join(
        f"<tr><th scope=row>{escape(name)}</th><td>{escape(value)}</td></tr>"
        for name, value in rows
    )
    return f'<div class="card"><table class="pairs">{body}</table></div>'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    top = f"<thead><tr>{top}</tr></thead>" if head else ""
    return f'<div class="card"><table>{top}<tbody>{body}</tbody></table></div>'


def _cell(text: str) -> str:
    """Long texts may wrap, at a width at which they can be read."""
    wide = ' class="wide"' if len(text) > _WIDE else ""
    return f"<td{wide}>{escape(text)}</td>"


def _number(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_number(one)}" for key, one in value.items())
    return f"{value:.6g}" if isinstance(value, float) else str(value)
