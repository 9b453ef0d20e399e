"""A bundle as a person wants to see it, and as a script does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from builder import sections
from builder.sections import detections_reference, drift, left_out, looks_table, tolerances
from edge_agent.bundle import Bundle, Manifest, Variant
from edge_agent.console import table

_SHOWN = 12
_UNITS = ("B", "kB", "MB", "GB")


def describe(bundle: Bundle) -> dict[str, Any]:
    """The bundle's manifest with its digest and total size, for ``--json``."""
    manifest = bundle.manifest
    return {
        **manifest.document,
        "digest": manifest.digest,
        "size": sum(entry.size for entry in manifest.files),
    }


def render(bundle: Bundle) -> str:
    """Small tables: what it is, its variants with their proof, and its classes."""
    rows = facts(bundle)
    width = max(len(name) for name, _ in rows)
    lines = "\n".join(f"{name.ljust(width)}  {value}" for name, value in rows)
    manifest = bundle.manifest
    parts = [lines, _variants(bundle), _left_out(manifest), _drift(manifest), _looks(manifest)]
    return "\n\n".join(part for part in parts if part)


def facts(bundle: Bundle) -> list[tuple[str, str]]:
    """What a person asks of a bundle, as names and words."""
    manifest = bundle.manifest
    spec, decode, golden = manifest.input, manifest.decode, manifest.golden
    source = manifest.source
    return [
        ("release", f"{manifest.name} {manifest.version}"),
        ("digest", manifest.digest),
        ("created", manifest.created),
        ("from", _origin(source)),
        ("checkpoint", f"{source.get('checkpoint', '?')} {_short(source)}"),
        *_training(source),
        ("classes", f"{len(manifest.classes)}: {_some(manifest.classes)}"),
        ("head", manifest.head),
        (
            "input",
            f"{spec.height} x {spec.width} {spec.colour} (height x width),"
            f" letterbox {spec.interpolation}"
            + (", any number at once" if _dynamic(manifest.document) else ""),
        ),
        ("decode", f"confidence {decode.confidence:g}, NMS {decode.iou:g}, floor {decode.floor:g}"),
        ("golden set", f"{golden.frames} {frames_of(manifest)}, reference {golden.reference}"),
        ("tolerance", tolerances(manifest)),
        ("profile", manifest.profile or "none: no verdict on output drift"),
        ("reference", manifest.reference_image or "none: no SSIM input check"),
        ("licence", manifest.license or "not stated"),
        ("size", f"{human(sum(e.size for e in manifest.files))} in {len(manifest.files)} files"),
    ]


def _variants(bundle: Bundle) -> str:
    manifest = bundle.manifest
    rows = [
        [one.id, one.precision, human(manifest.entry(one.path).size), one.opset, proof_text(one)]
        for one in manifest.variants
    ]
    return table(("variant", "precision", "size", "opset", "proof"), rows)


def frames_of(manifest: Manifest) -> str:
    """What the golden frames are pictures of."""
    if manifest.golden.synthetic:
        return "synthetic frames (drawings: there was no reference data)"
    return "frames of the reference images"


def _left_out(manifest: Manifest) -> str:
    rows = left_out(manifest)
    return table(("left out", "why"), rows) if rows else ""


def _drift(manifest: Manifest) -> str:
    """The classes whose scores moved most, in each variant."""
    ids, rows = drift(manifest)
    if not rows:
        return ""
    cells = [
        [name, *(f"{row[one]:+.4f}" if one in row else "-" for one in ids)]
        for name, row in list(rows.items())[:_SHOWN]
    ]
    head = ("class", *(f"score drift of {one}" for one in ids))
    return table(head, cells) + _more(len(rows))


def _looks(manifest: Manifest) -> str:
    """What the classes look at, those that changed most first."""
    head, rows = looks_table(manifest)
    return table(head, rows[:_SHOWN]) + _more(len(rows)) if rows else ""


def _more(count: int) -> str:
    return f"\nand {count - _SHOWN} more classes: see --json or --html" if count > _SHOWN else ""


def proof_text(variant: Variant) -> str:
    """How far a variant was from its reference, in words."""
    parity, against = variant.parity, detections_reference(variant.parity)
    texts = []
    if parity.get("reference") == "pytorch" or "agreement" not in parity:
        texts.append(reference_text(variant))
    if "agreement" in parity:
        texts.append(
            f"{figure(parity['agreement'], '.1%')} of {parity.get('boxes', '?')} boxes agree with"
            f" {against}"
        )
    if "map50_95" in parity:
        loss = parity.get("map50_95_loss_points")
        texts.append(
            f"mAP50-95 {figure(parity['map50_95'], '.3f')}"
            + (f", loses {loss} points of 100 against {against}" if loss is not None else "")
        )
    return "; ".join(texts)


def reference_text(variant: Variant) -> str:
    """How far a variant's raw output was from PyTorch's, in words."""
    parity = variant.parity
    if parity.get("reference") != "pytorch":
        return "not compared with PyTorch"
    return (
        f"PyTorch on {parity.get('frames', '?')} frames: boxes"
        f" {parity.get('max_relative_box_difference', '?')}, scores"
        f" {parity.get('max_score_difference', '?')}"
    )


def figure(value: object, form: str) -> str:
    """A number in a format; anything else, which nobody checked, as it is."""
    return format(value, form) if isinstance(value, (int, float)) else str(value)


def human(size: float) -> str:
    """Bytes in a unit that a person reads."""
    for unit in _UNITS[:-1]:
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} {_UNITS[-1]}"


def _dynamic(document: Mapping[str, Any]) -> bool:
    """Whether the graph takes any number of images at once."""
    return bool(document["input"].get("batch") == "dynamic")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _origin(source: Any) -> str:
    run = source.get("run_id")
    return f"{source.get('uri', '?')}" + (f", run {run}" if run else "")


def _training(source: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is known of the training and of the data, one line each; nothing for what is not."""
    git, data = sections.table(source, "git"), sections.table(source, "reference_data")
    dvc = sections.table(data, "dvc")
    metrics = sections.table(source, "metrics")
    figures = {key: one for key, one in metrics.items() if sections.is_figure(one)}
    trained = [str(source[key]) for key in ("trained", "trained_with") if source.get(key)]
    rows = [
        ("trained", " with ".join(trained)),
        ("commit", " on ".join(str(git[key]) for key in ("commit", "branch") if key in git)),
        ("metrics", _some([f"{key} {value:g}" for key, value in figures.items()])),
        ("data", f"{data.get('images')} images of {data.get('name')},"
         f" SHA-256 {str(data.get('sha256'))[:12]}…" if data else ""),
        ("DVC", f"{dvc.get('hash')} ({dvc.get('file')})" if dvc else ""),
    ]  # fmt: skip
    return [(name, text) for name, text in rows if text]


def _short(source: Any) -> str:
    digest = source.get("checkpoint_sha256", "")
    return f"(SHA-256 {digest[:12]}…)" if digest else ""
