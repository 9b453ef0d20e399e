"""A bundle as a person wants to see it, and as a script does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edge_agent.bundle import Bundle, Variant
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
    """Two small tables: what it is, and its variants with their proof."""
    rows = facts(bundle)
    width = max(len(name) for name, _ in rows)
    lines = "\n".join(f"{name.ljust(width)}  {value}" for name, value in rows)
    return f"{lines}\n\n{_variants(bundle)}"


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
            f"{spec.width} x {spec.height} {spec.colour}, letterbox {spec.interpolation}"
            + (", any number at once" if _dynamic(manifest.document) else ""),
        ),
        ("decode", f"confidence {decode.confidence:g}, NMS {decode.iou:g}, floor {decode.floor:g}"),
        ("golden set", f"{golden.frames} frames, reference {golden.reference}"),
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


def proof_text(variant: Variant) -> str:
    """How far a variant was from its reference, in words."""
    parity = variant.parity
    texts = []
    if parity.get("reference") != "pytorch" and "agreement" not in parity:
        texts.append("not compared with PyTorch")
    if parity.get("reference") == "pytorch":
        texts.append(
            f"PyTorch on {parity.get('frames', '?')} frames: boxes"
            f" {parity.get('max_relative_box_difference', '?')}, scores"
            f" {parity.get('max_score_difference', '?')}"
        )
    if "agreement" in parity:
        texts.append(
            f"{parity['agreement']:.1%} of {parity.get('boxes', '?')} boxes agree with fp32"
        )
    if "map50_95" in parity:
        loss = parity.get("map50_95_loss_points")
        texts.append(
            f"mAP50-95 {parity['map50_95']:.3f}" + (f", loses {loss}" if loss is not None else "")
        )
    return "; ".join(texts)


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
    git, data = _table(source, "git"), _table(source, "reference_data")
    dvc = _table(data, "dvc")
    figures = {key: one for key, one in _table(source, "metrics").items() if _is_figure(one)}
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


def _table(source: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = source.get(name)
    return found if isinstance(found, dict) else {}


def _is_figure(value: object) -> bool:
    return isinstance(value, (int, float))


def _short(source: Any) -> str:
    digest = source.get("checkpoint_sha256", "")
    return f"(SHA-256 {digest[:12]}…)" if digest else ""
