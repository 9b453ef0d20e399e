"""COCO: one JSON document of images, annotations and categories (https://cocodataset.org).

Boxes are x, y, width, height in pixels; ids begin at 1. Each annotation keeps the model's
``score``, which readers of ground truth ignore.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

from edge_agent.captures.export.dataset import Box, Dataset, Format, Item

_IMPORT = """\
CVAT: make a task of the pictures in images/ with labels of the same names, then Actions ->
   Upload annotations -> COCO 1.0: annotations/instances_default.json.
FiftyOne: fiftyone.Dataset.from_dir(".", fiftyone.types.COCODetectionDataset, data_path="images",
   labels_path="annotations/instances_default.json")
"""


def documents(dataset: Dataset) -> Iterator[tuple[str, bytes]]:
    """``annotations/instances_default.json``: the place where CVAT looks."""
    annotations: list[dict[str, Any]] = []
    for number, item in enumerate(dataset.items, 1):
        for box in item.boxes:
            annotations.append(_annotation(len(annotations) + 1, number, box))
    document = {
        "info": {"description": "captures of Outpost's agents, with the model's own boxes"},
        "licenses": [],
        "images": [_image(number, item) for number, item in enumerate(dataset.items, 1)],
        "annotations": annotations,
        "categories": [
            {"id": number, "name": name, "supercategory": ""}
            for number, name in enumerate(dataset.classes, 1)
        ],
    }
    yield "annotations/instances_default.json", json.dumps(document, ensure_ascii=False).encode()


def _image(number: int, item: Item) -> dict[str, Any]:
    taken = datetime.fromtimestamp(item.capture.record.frame.captured_at, timezone.utc)
    return {
        "id": number,
        "file_name": item.file,
        "width": item.width,
        "height": item.height,
        "date_captured": taken.strftime("%Y-%m-%d %H:%M:%S"),
    }


def _annotation(number: int, image: int, box: Box) -> dict[str, Any]:
    width, height = box.x1 - box.x0, box.y1 - box.y0
    return {
        "id": number,
        "image_id": image,
        "category_id": box.class_id + 1,
        "bbox": [round(value, 3) for value in (box.x0, box.y0, width, height)],
        "area": round(width * height, 3),
        "iscrowd": 0,
        "segmentation": [],
        "score": box.score,
    }


FORMAT = Format(documents, _IMPORT)
