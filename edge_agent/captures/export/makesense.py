"""makesense.ai: YOLO rows, with ``labels.txt`` among them, as its importer wants it.

The importer splits rows at single spaces into exactly five values, each 0..1, removes white space
from class names and wants them to be different after that.
"""

from __future__ import annotations

from collections.abc import Iterator

from edge_agent.captures.export.dataset import Dataset, Format
from edge_agent.captures.export.yolo import rows
from edge_agent.errors import UsageError

_IMPORT = """\
1. https://www.makesense.ai -> Get Started: drop every file of images/, choose Object Detection.
2. Start without labels, then Actions -> Import Annotations -> Multiple files in YOLO format:
   drop every file of labels/ (labels.txt among them).
"""


def documents(dataset: Dataset) -> Iterator[tuple[str, bytes]]:
    """``labels/labels.txt`` and ``labels/<picture>.txt``.

    Raises:
        UsageError: class names that the importer could not tell apart.
    """
    names = ["_".join(name.split()) for name in dataset.classes]
    twice = sorted({name for name in names if not name or names.count(name) > 1})
    if twice:
        raise UsageError(
            f"makesense tells classes apart by name, and these are the same or empty there:"
            f" {', '.join(map(repr, twice))}; export as coco"
        )
    yield "labels/labels.txt", "".join(f"{name}\n" for name in names).encode()
    for item in dataset.items:
        yield f"labels/{item.stem}.txt", rows(item)


FORMAT = Format(documents, _IMPORT)
