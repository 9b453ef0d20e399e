"""What was measured of a variant, and whether it may go into the bundle: rules without I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from builder.accuracy.agreement import LEAST_IOU, Agreement
from builder.accuracy.coco import Accuracy
from builder.accuracy.limits import Limits
from builder.prove import Parity
from edge_agent.bundle import Tolerance
from edge_agent.console import table
from edge_agent.detection.decode import Floats
from edge_agent.detection.golden import compare

_UNITS = (
    "x fp32: speed, 2 is twice as fast; raw box: relative; raw score, drift: of scores 0..1;\n"
    "mAP: 0..1; loss: mAP50-95 in points of 100, negative is a gain"
)


@dataclass(frozen=True)
class Measured:
    """One variant beside its reference.

    Attributes:
        id: of the variant.
        reference: what it is compared with, ``pytorch`` or ``fp32-graph``.
        raw: largest differences of the raw output on the golden frames.
        agreement: of the detections on all reference images with those of the reference.
        before: mAP of the reference, None without labels.
        after: mAP of this variant.
        tolerance: for the golden set; None when none that is allowed holds.
        golden_faults: what is wrong at the widest tolerance.
        model_bytes: size of the file.
        infer_ms: median inference here, on the CPU provider.
        fp32_ms: the same of the fp32 graph.
    """

    id: str
    reference: str
    raw: Parity
    agreement: Agreement
    before: Accuracy | None
    after: Accuracy | None
    tolerance: Tolerance | None
    golden_faults: tuple[str, ...]
    model_bytes: int
    infer_ms: float
    fp32_ms: float

    @property
    def map_loss(self) -> float | None:
        """Points of mAP50-95 (0..100) that this variant loses; None without labels."""
        if self.before is None or self.after is None:
            return None
        return 100 * (self.before.map50_95 - self.after.map50_95)

    def document(self) -> dict[str, Any]:
        """The manifest's ``variants[].parity``, without anything that depends on the clock."""
        return {
            "reference": self.reference,
            "frames": self.raw.frames,
            "max_relative_box_difference": _digits(self.raw.box),
            "max_score_difference": _digits(self.raw.score),
            **detections_document(self.reference, self.agreement, self.before, self.after),
        }


def detections_document(
    reference: str, agreement: Agreement, before: Accuracy | None, after: Accuracy | None
) -> dict[str, Any]:
    """What ``variants[].parity`` says of the detections on all reference images.

    Args:
        reference: whose detections they are compared with, ``pytorch`` or ``fp32-graph``.
        agreement: with those.
        before: mAP of the reference, None without labels.
        after: mAP of the variant.
    """
    document: dict[str, Any] = {
        "detections_reference": reference,
        "images": agreement.images,
        "boxes": agreement.boxes,
        "agreement": round(agreement.share, 4),
        "mean_iou": round(agreement.iou, 4),
        "score_drift": {name: _plain(value, 4) for name, value in agreement.drift.items()},
    }
    if before is not None and after is not None:
        document |= {
            **after.document(),
            "map50_loss_points": _plain(100 * (before.map50 - after.map50), 2),
            "map50_95_loss_points": _plain(100 * (before.map50_95 - after.map50_95), 2),
        }
    return document


def judge(measured: Measured, limits: Limits) -> list[str]:
    """Why a variant may not go into the bundle; empty when it may."""
    why = []
    loss = measured.map_loss
    if loss is not None and loss > limits.map_loss:
        why.append(f"loses {loss:.2f} points of mAP50-95 (at most {limits.map_loss:g})")
    if measured.agreement.share < limits.agreement:
        why.append(
            f"{measured.agreement.share:.1%} of the reported boxes have a partner with IoU"
            f" {LEAST_IOU:g} (at least {limits.agreement:.1%})"
        )
    if measured.agreement.worst_drift > limits.score_drift:
        drift = measured.agreement.drift
        name = max(drift, key=lambda key: abs(drift[key]))
        why.append(
            f"scores of {name!r} drift by {drift[name]:+.3f} (at most {limits.score_drift:g})"
        )
    if measured.tolerance is None:
        why.append(f"golden set: {'; '.join(measured.golden_faults[:2])}")
    return why


def golden_tolerance(
    expected: Sequence[Floats],
    found: Sequence[Floats],
    confidence: float,
    rungs: Sequence[Tolerance],
) -> tuple[Tolerance | None, tuple[str, ...]]:
    """The golden tolerance of a variant: one rung wider than the first that holds here.

    Args:
        expected: (n, 6) detections of the reference per golden frame.
        found: those of the variant.
        confidence: from which a detection is reported.
        rungs: allowed tolerances, tightest first.

    Returns:
        The tolerance, or None and what is wrong at the last rung but one.
    """
    faults: list[str] = []
    for index, rung in enumerate(rungs[:-1]):
        faults = [
            f"frame {number}: {fault}"
            for number, (wanted, rows) in enumerate(zip(expected, found, strict=True))
            for fault in compare(wanted, rows, rung, confidence)
        ]
        if not faults:
            return rungs[index + 1], ()
    return None, tuple(faults)


def render(measured: Sequence[Measured]) -> str:
    """The table that a person decides by."""
    rows = [
        [
            one.id,
            f"{one.model_bytes / 1e6:.1f}",
            f"{one.infer_ms:.1f}",
            f"{one.fp32_ms / one.infer_ms:.2f}" if one.infer_ms else "",
            f"{one.raw.box:.1e}",
            f"{one.raw.score:.1e}",
            f"{one.agreement.share:.2%}",
            f"{one.agreement.worst_drift:.4f}",
            "" if one.after is None else f"{one.after.map50:.4f}",
            "" if one.after is None else f"{one.after.map50_95:.4f}",
            "" if one.map_loss is None else f"{one.map_loss:+.2f}",
        ]
        for one in measured
    ]
    head = (
        "variant", "MB", "ms (CPU)", "x fp32", "raw box", "raw score", "agreement", "drift",
        "mAP50", "mAP50-95", "loss",
    )  # fmt: skip
    return f"{table(head, rows)}\n{_UNITS}"


def _plain(value: float, digits: int) -> float:
    return round(value, digits) + 0.0  # never -0.0


def _digits(value: float) -> float:
    return float(f"{value:.2e}")
