"""mAP by faster-coco-eval, the maintained implementation of COCO's evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from builder.accuracy.labels import Labels
from edge_agent.detection.decode import Floats
from edge_agent.errors import UsageError

FLOOR = 0.001
"""Scores down to which detections count, as in ultralytics' validation."""


@dataclass(frozen=True)
class Accuracy:
    """Mean average precision over the classes that the labels show, 0..1.

    Attributes:
        map50: at an intersection over union of 0.5.
        map50_95: mean over 0.5, 0.55, … 0.95.
        images: labelled pictures.
        objects: labelled boxes.
    """

    map50: float
    map50_95: float
    images: int
    objects: int

    def document(self) -> dict[str, Any]:
        """What ``variants[].parity`` says of it."""
        return {
            "labelled_images": self.images,
            "labelled_objects": self.objects,
            "map50": round(self.map50, 4),
            "map50_95": round(self.map50_95, 4),
        }


def measure(
    labels: Labels,
    found: Mapping[str, Floats],
    sizes: Mapping[str, tuple[int, int]],
    classes: Sequence[str],
) -> Accuracy:
    """The mAP of detections (Lin et al., 2014, Microsoft COCO, arXiv 1405.0312).

    Args:
        labels: the truth; its pictures are the ones that count.
        found: picture's name -> (n, 6) detections down to `FLOOR`, best first.
        sizes: picture's name -> (width, height) in pixels.
        classes: names by class id.

    Raises:
        UsageError: the library is not installed.
    """
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ImportError as error:
        raise UsageError(
            f"mAP needs faster-coco-eval ({error}); `pip install outpost-edge[builder]`"
        ) from None
    names = sorted(labels.objects)
    objects = sum(len(rows) for rows in labels.objects.values())
    results = [row for number, name in enumerate(names, 1) for row in _results(number, found[name])]
    if not objects or not results:
        return Accuracy(0.0, 0.0, len(names), objects)
    truth = COCO(_truth(labels, names, sizes, classes))
    evaluation = COCOeval_faster(truth, truth.loadRes(results), iouType="bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return Accuracy(float(evaluation.stats[1]), float(evaluation.stats[0]), len(names), objects)


def _truth(
    labels: Labels,
    names: Sequence[str],
    sizes: Mapping[str, tuple[int, int]],
    classes: Sequence[str],
) -> dict[str, Any]:
    annotations: list[dict[str, Any]] = []
    for number, name in enumerate(names, 1):
        width, height = sizes[name]
        for kind, x, y, w, h in labels.objects[name].astype(float):
            box = [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": int(kind) + 1,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                }
            )
    images = [
        {"id": number, "file_name": name, "width": sizes[name][0], "height": sizes[name][1]}
        for number, name in enumerate(names, 1)
    ]
    categories = [{"id": number, "name": name} for number, name in enumerate(classes, 1)]
    return {"images": images, "annotations": annotations, "categories": categories, "info": {}}


def _results(number: int, rows: Floats) -> list[dict[str, Any]]:
    return [
        {
            "image_id": number,
            "category_id": int(kind) + 1,
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "score": score,
        }
        for x0, y0, x1, y1, score, kind in rows.tolist()
    ]
