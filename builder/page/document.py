"""The page itself: what a person asks of a bundle, in the order in which they ask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from builder.inspect import facts, frames_of, human
from builder.page.charts import profile_charts
from builder.page.pictures import class_chips, golden_figures
from builder.page.proof import drift_table, left_out_table, looks_section, variants
from builder.page.tables import number, pairs, section, table
from builder.sections import tolerances
from edge_agent.bundle import Bundle
from edge_agent.monitors.profile import Profile

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_MOST_CLASSES = 200


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
        section(
            "Variants and their proof",
            variants(bundle),
            drift_table(bundle),
            left_out_table(bundle),
        ),
        section("Golden frames", _golden_words(bundle), _pictures(bundle)),
        section("Classes", f'<div class="card">{_classes(manifest.classes)}</div>'),
        section("What it is", pairs(facts(bundle))),
        section("Where it comes from", *_origin(manifest.source)),
        _profile(bundle),
        section("What it looks at", looks_section(manifest)),
        section("Files", _files(bundle)),
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
    badges = [("good" if proven else "warn", text)]
    if bundle.manifest.golden.synthetic:
        badges.append(("warn", "synthetic golden frames"))
    return "".join(f'<span class="verdict {kind}">{words}</span>' for kind, words in badges)


def _figures(bundle: Bundle) -> str:
    manifest = bundle.manifest
    spec = manifest.input
    shown = [
        (f"{len(manifest.classes)}", "classes"),
        (f"{spec.height} x {spec.width}", "input, height x width"),
        (", ".join(one.id for one in manifest.variants), "variants"),
        (human(sum(entry.size for entry in manifest.files)), f"in {len(manifest.files)} files"),
    ]
    boxes = "".join(f"<div><b>{escape(a)}</b>{escape(b)}</div>" for a, b in shown)
    return f'<div class="figures">{boxes}</div>'


def _golden_words(bundle: Bundle) -> str:
    golden, decode = bundle.manifest.golden, bundle.manifest.decode
    finder = "PyTorch" if golden.reference == "pytorch" else "the fp32 graph"
    text = (
        f"{golden.frames} {frames_of(bundle.manifest)} and what {finder} finds on them at"
        f" confidence {decode.confidence:g}. A device must reproduce these before the model goes"
        f" live ({tolerances(bundle.manifest)})."
    )
    if own := ", ".join(one.id for one in bundle.manifest.variants if one.golden):
        text += f" For {own} it is what the graph itself says; the table above judges that."
    if golden.synthetic:
        text += " They prove that a device computes the same; not that the model sees the scene."
    return f'<p class="soft">{escape(text)}</p>'


def _pictures(bundle: Bundle) -> str:
    return f'<div class="pictures">{golden_figures(bundle)}</div>'


def _classes(classes: Sequence[str]) -> str:
    more = f" and {len(classes) - _MOST_CLASSES} more" if len(classes) > _MOST_CLASSES else ""
    return class_chips(classes[:_MOST_CLASSES]) + more


def _origin(source: Mapping[str, Any]) -> Iterable[str]:
    """The plain facts, then each table of the source that has something in it."""
    plain = [(name, str(value)) for name, value in source.items() if not _is_group(value) and value]
    yield pairs(plain)
    for name, value in source.items():
        if isinstance(value, dict) and value:
            inner = pairs([(str(key), number(one)) for key, one in value.items()])
        elif isinstance(value, list) and value:
            inner = table([], [[number(one)] for one in value])
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
    return section("Reference profile", words, f'<div class="charts">{charts}</div>')


def _files(bundle: Bundle) -> str:
    rows = [[one.path, human(one.size), one.sha256] for one in bundle.manifest.files]
    inner = table(["path", "size", "SHA-256"], rows)
    return f"<details><summary>{len(rows)} files</summary>{inner}</details>"
