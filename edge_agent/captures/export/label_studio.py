"""Label Studio: tasks with predictions, and the labeling interface that they belong to.

Sides are percent of the picture (https://labelstud.io/guide/predictions). Pictures are read by
Label Studio from this folder ("local files") or from a server.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import quoteattr

from edge_agent.captures.export.dataset import Box, Dataset, Format, Item

_CONTROL, _OBJECT = "label", "image"
# Distinct and readable on pictures of machines: hues a golden angle apart.
_GOLDEN_ANGLE = 137.508

_IMPORT = """\
1. Start Label Studio so that it may read this folder:
     LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true \\
     LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT=<this folder> label-studio
   (pictures on a server instead: export again with --picture-url)
2. Make a project; Settings -> Labeling Interface -> Code: paste labeling.xml.
3. Settings -> Cloud Storage -> Add Source Storage -> Local files, with the absolute path of
   images/; save it, do not sync.
4. Import tasks.json. The boxes appear as predictions, to be accepted or corrected.
"""


def documents(dataset: Dataset) -> Iterator[tuple[str, bytes]]:
    """``tasks.json`` and ``labeling.xml``."""
    tasks = [_task(item, dataset) for item in dataset.items]
    yield "tasks.json", json.dumps(tasks, ensure_ascii=False).encode()
    yield "labeling.xml", _interface(dataset.classes).encode()


def _interface(classes: tuple[str, ...]) -> str:
    labels = "".join(
        f"    <Label value={quoteattr(name)} background={quoteattr(_colour(number))}/>\n"
        for number, name in enumerate(classes)
    )
    return (
        f'<View>\n  <Image name="{_OBJECT}" value="${_OBJECT}" zoom="true"/>\n'
        f'  <RectangleLabels name="{_CONTROL}" toName="{_OBJECT}">\n{labels}'
        "  </RectangleLabels>\n</View>\n"
    )


def _colour(number: int) -> str:
    return f"hsl({number * _GOLDEN_ANGLE % 360:.0f}, 90%, 45%)"


def _task(item: Item, dataset: Dataset) -> dict[str, Any]:
    record = item.capture.record
    release = record.release
    scores = [box.score for box in item.boxes]
    return {
        "data": {
            _OBJECT: dataset.picture_url + item.file,
            "camera": record.frame.camera,
            "captured_at": record.frame.captured_at,
            "reason": record.reason,
            "why": record.text,
        },
        "predictions": [
            {
                "model_version": f"{release.model} v{release.version}",
                "score": min(scores, default=0.0),
                "result": [
                    _region(number, box, item, dataset.classes)
                    for number, box in enumerate(item.boxes)
                ],
            }
        ],
    }


def _region(number: int, box: Box, item: Item, classes: tuple[str, ...]) -> dict[str, Any]:
    return {
        "id": f"box-{number}",
        "type": "rectanglelabels",
        "from_name": _CONTROL,
        "to_name": _OBJECT,
        "original_width": item.width,
        "original_height": item.height,
        "image_rotation": 0,
        "score": box.score,
        "value": {
            "x": box.x0 / item.width * 100,
            "y": box.y0 / item.height * 100,
            "width": (box.x1 - box.x0) / item.width * 100,
            "height": (box.y1 - box.y0) / item.height * 100,
            "rotation": 0,
            "rectanglelabels": [classes[box.class_id]],
        },
    }


FORMAT = Format(documents, _IMPORT)
