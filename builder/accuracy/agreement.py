"""Two models on the same pictures: do they report the same boxes, and how sure are they?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edge_agent.detection.decode import Floats, above
from edge_agent.detection.golden import iou_matrix, match

LEAST_IOU = 0.5


@dataclass(frozen=True)
class Agreement:
    """How far a variant agrees with its reference.

    Attributes:
        images: compared.
        boxes: reported by either side; a pair counts twice.
        share: of those, how many have a partner of their class on the other side, 0..1; 1 when
            nobody reports anything.
        iou: mean intersection over union of the pairs; 1 when there is none.
        drift: class name -> mean score minus the reference's, over its pairs.
    """

    images: int
    boxes: int
    share: float
    iou: float
    drift: Mapping[str, float]

    @property
    def worst_drift(self) -> float:
        """The largest drift of a class, without its sign."""
        return max((abs(value) for value in self.drift.values()), default=0.0)


def agree(
    reference: Mapping[str, Floats],
    variant: Mapping[str, Floats],
    *,
    confidence: float,
    classes: Sequence[str],
) -> Agreement:
    """Compare detections picture by picture.

    A box that one side reports has a partner when the other side has a box of that class with an
    intersection over union of at least `LEAST_IOU` and half the confidence or more: a score that
    moves across the threshold is drift, not another opinion.

    Args:
        reference: picture's name -> (n, 6) detections, best first.
        variant: the same pictures.
        confidence: from which a detection is reported.
        classes: names by class id.
    """
    boxes = partnered = 0
    overlaps: list[float] = []
    drifts: dict[int, list[float]] = {}
    for name, wanted in reference.items():
        a, b = above(wanted, confidence / 2), above(variant[name], confidence / 2)
        reported = [int(np.count_nonzero(side[:, 4] > confidence)) for side in (a, b)]
        boxes += sum(reported)
        pairs = [(i, j) for i, j in match(a, b, LEAST_IOU) if i < reported[0] or j < reported[1]]
        partnered += sum((i < reported[0]) + (j < reported[1]) for i, j in pairs)
        for i, j in pairs:
            overlaps.append(float(iou_matrix(a[i : i + 1], b[j : j + 1])[0, 0]))
            drifts.setdefault(int(a[i, 5]), []).append(float(b[j, 4] - a[i, 4]))
    return Agreement(
        images=len(reference),
        boxes=boxes,
        share=partnered / boxes if boxes else 1.0,
        iou=float(np.mean(overlaps)) if overlaps else 1.0,
        drift={classes[kind]: float(np.mean(drifts[kind])) for kind in sorted(drifts)},
    )
