"""YOLO: a text file per picture; ultralytics trains on it as it is, most tools import it.

Rows are ``class cx cy w h`` in shares of the picture
(https://docs.ultralytics.com/datasets/detect/). Scores have no place in them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from edge_agent.captures.export.dataset import PICTURES, Box, Dataset, Format, Item

_IMPORT = """\
ultralytics: yolo train data=data.yaml model=...
   (train and val are the same pictures; the boxes are a model's until somebody corrects them)
Label Studio: label-studio-converter import yolo -i . -o tasks.json --out-type predictions
"""


def documents(dataset: Dataset) -> Iterator[tuple[str, bytes]]:
    """``data.yaml``, ``classes.txt`` and ``labels/<picture>.txt``."""
    # JSON's texts are YAML's double-quoted ones. Without `path`, the paths start at this file.
    names = [
        f"  {n}: {json.dumps(name, ensure_ascii=False)}\n" for n, name in enumerate(dataset.classes)
    ]
    yaml = f"train: {PICTURES}\nval: {PICTURES}\nnames:\n" + "".join(names)
    yield "data.yaml", yaml.encode()
    yield "classes.txt", "".join(f"{name}\n" for name in dataset.classes).encode()
    for item in dataset.items:
        yield f"labels/{item.stem}.txt", rows(item)


def rows(item: Item) -> bytes:
    """The rows of one picture; no row for a picture without boxes."""
    return "".join(_row(box, item.width, item.height) for box in item.boxes).encode()


def _row(box: Box, width: int, height: int) -> str:
    values = (
        (box.x0 + box.x1) / 2 / width,
        (box.y0 + box.y1) / 2 / height,
        (box.x1 - box.x0) / width,
        (box.y1 - box.y0) / height,
    )
    return f"{box.class_id} " + " ".join(f"{value:.6f}" for value in values) + "\n"


FORMAT = Format(documents, _IMPORT)
