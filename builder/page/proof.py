"""How far the variants are from the original, and what the model looks at."""

from __future__ import annotations

from builder.inspect import figure, human, reference_text
from builder.page.tables import table
from builder.sections import STABLE, detections_reference, drift, left_out, looks_table
from edge_agent.bundle import Bundle, Manifest, Variant

_OPEN = 12
_SHOWN_PARITY = {
    "agreement": ("boxes agree", ".1%"),
    "mean_iou": ("their mean IoU", ".4f"),
    "map50": ("mAP50, 0..1", ".3f"),
    "map50_95": ("mAP50\u201195, 0..1", ".3f"),
    "map50_loss_points": ("mAP50 lost, points of 100", ".2f"),
    "map50_95_loss_points": ("mAP50\u201195 lost, points of 100", ".2f"),
}
"""Of a variant's ``parity``: title (with hyphens at which no line ends) and format."""


def variants(bundle: Bundle) -> str:
    """Every variant with its size and what it loses."""
    manifest = bundle.manifest
    known = {key for one in manifest.variants for key in one.parity}
    extra = {key: shown for key, shown in _SHOWN_PARITY.items() if key in known}
    rows = [
        [
            one.id if one.id == one.precision else f"{one.id} ({one.precision})",
            human(manifest.entry(one.path).size),
            str(one.opset),
            reference_text(one),
            *([_against(one)] if extra else []),
            *(figure(one.parity.get(key, "–"), form) for key, (_, form) in extra.items()),
        ]
        for one in manifest.variants
    ]
    return table(
        [
            "variant",
            "size",
            "opset",
            "raw output, largest differences",
            *(["boxes and mAP against"] if extra else []),
            *(name for name, _ in extra.values()),
        ],
        rows,
    )


def _against(variant: Variant) -> str:
    """Nothing where no figure of the variant compares: a mAP alone is against nobody's."""
    compares = {"agreement", "map50_loss_points", "map50_95_loss_points"} & variant.parity.keys()
    return detections_reference(variant.parity) if compares else "–"


def left_out_table(bundle: Bundle) -> str:
    """The variants that did not pass."""
    rows = [list(row) for row in left_out(bundle.manifest)]
    return f"<h3>Left out</h3>{table(['variant', 'why'], rows)}" if rows else ""


def drift_table(bundle: Bundle) -> str:
    """How far each class's scores moved in each variant, the largest first."""
    ids, rows = drift(bundle.manifest)
    cells = [
        [name, *(f"{row[one]:+.4f}" if one in row else "–" for one in ids)]
        for name, row in rows.items()
    ]
    if not rows:
        return ""
    return (
        f"<details{' open' if len(rows) <= _OPEN else ''}>"
        f"<summary>score drift per class ({len(rows)})</summary>"
        "<p class='soft'>Mean score minus the reference's (the table above says whose) over the"
        " boxes that both find; scores are 0..1.</p>"
        f"{table(['class', *ids], cells)}</details>"
    )


def looks_section(manifest: Manifest) -> str:
    """What each class looks at, those that changed most first."""
    head, rows = looks_table(manifest)
    words = (
        '<p class="soft">By occlusion: grey squares over golden frames, and how much of the score'
        " that is lost lies on the object. Likeness is the correlation of both versions' maps, 1"
        f" for the same; below {STABLE:g} look at the pictures.</p>"
    )
    return words + table(head, rows) if rows else ""
