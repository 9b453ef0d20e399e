"""The parts of a manifest that only some builds write: rows for the console and for the page.

Nothing is decided by them, so the manifest's reader does not check them: what is not of the
expected kind is left out here. Rows that a person should see first come first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge_agent.bundle import Manifest

STABLE = 0.5
"""Correlation with the version before below which a person should look."""

NEW = "new"
"""In the place of a figure that compares: the version before has no class of that name."""


@dataclass(frozen=True)
class Looks:
    """What one class looks at.

    Attributes:
        on_object: share of the score's loss under occlusion that falls on the object, 0..1.
        stability: correlation with the version before, -1..1; None when there is none.
    """

    name: str
    objects: int
    on_object: float
    stability: float | None


def left_out(manifest: Manifest) -> list[tuple[str, str]]:
    """Variants that did not pass: id and why."""
    entries = manifest.document.get("left_out")
    return [
        (str(one.get("id", "")), str(one.get("why", "")))
        for one in (entries if isinstance(entries, list) else [])
        if isinstance(one, dict)
    ]


def tolerances(manifest: Manifest) -> str:
    """How close a device must come to the golden detections, per precision."""
    held = manifest.golden.tolerance
    return "; ".join(
        f"{name} IoU {held[name].iou:g}, score ± {held[name].score:g}"
        for name in dict.fromkeys(one.precision for one in manifest.variants)
    )


def drift(manifest: Manifest) -> tuple[list[str], dict[str, dict[str, float]]]:
    """The variants that say so, and class -> variant -> mean score minus its reference's.

    The largest first; whose the reference's is says `detections_reference`.
    """
    found: dict[str, dict[str, float]] = {}
    for variant in manifest.variants:
        for name, value in table(variant.parity, "score_drift").items():
            if is_figure(value):
                found.setdefault(name, {})[variant.id] = round(value, 4) + 0.0  # never -0.0
    worst = {name: max(abs(one) for one in row.values()) for name, row in found.items()}
    ids = [one.id for one in manifest.variants if any(one.id in row for row in found.values())]
    return ids, {name: found[name] for name in sorted(found, key=lambda name: -worst[name])}


def detections_reference(parity: Mapping[str, Any]) -> str:
    """Whose detections agreement, drift and mAP loss of a variant are against, in words."""
    return "PyTorch" if parity.get("detections_reference") == "pytorch" else "the fp32 graph"


def looks(manifest: Manifest) -> list[Looks]:
    """What each class looks at; those that are least like the version before first."""
    classes = table(table(manifest.document, "saliency"), "classes")
    found = [
        Looks(name, int(one["objects"]), float(one["on_object"]), _stability(one))
        for name, one in classes.items()
        if isinstance(one, dict)
        and is_figure(one.get("objects"))
        and is_figure(one.get("on_object"))
    ]
    return sorted(found, key=lambda one: 2.0 if one.stability is None else one.stability)


def compared_with(manifest: Manifest) -> Mapping[str, Any]:
    """``version`` and ``digest`` that `looks` compares with, empty when there is none."""
    return table(table(manifest.document, "saliency"), "previous")


def like_before(one: Looks) -> str:
    """How like the version before a class is; `NEW` where that has no class of its name."""
    return NEW if one.stability is None else f"{one.stability:.2f}"


def looks_table(manifest: Manifest) -> tuple[list[str], list[list[str]]]:
    """Titles and cells of `looks`; the comparison only where there was one."""
    before = compared_with(manifest)
    rows = [[one.name, f"{one.objects}", f"{one.on_object:.0%}", like_before(one)]
            for one in looks(manifest)]  # fmt: skip
    head = ["class", "objects", "looks at the object"]
    if not before:
        return head, [row[:-1] for row in rows]
    return [*head, f"like version {before.get('version', '?')} (1: the same)"], rows


def table(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A table of a document; an empty one where there is something else."""
    found = document.get(name)
    return found if isinstance(found, dict) else {}


def is_figure(value: object) -> bool:
    """Whether it is a number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _stability(one: Mapping[str, Any]) -> float | None:
    value = one.get("stability")
    return float(value) if isinstance(value, (int, float)) else None
