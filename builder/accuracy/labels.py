"""Labels in YOLO's format: one text file per picture, a line per object."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from edge_agent.detection.decode import Floats
from edge_agent.errors import SourceError, UsageError

_SHOWN = 5
_MOST_BYTES = 4 << 20


@dataclass(frozen=True)
class Labels:
    """The truth about some pictures.

    Attributes:
        objects: picture's name -> (n, 5) float32 class id, then centre x, centre y, width, height
            as shares of the picture. A picture whose file is empty shows nothing.
        missing: pictures without a file; they are left out of the measurement.
    """

    objects: dict[str, Floats]
    missing: tuple[str, ...]

    def of(self, readable: Collection[str]) -> Labels:
        """Those of the pictures that could be read: the others say nothing about a model.

        Raises:
            SourceError: no picture is left.
        """
        kept = {name: rows for name, rows in self.objects.items() if name in readable}
        if not kept:
            raise SourceError(
                f"none of the {len(self.objects)} labelled reference images can be read, so there"
                " is nothing to measure mAP on; give others, or leave --labels out"
            )
        return Labels(kept, self.missing)


def read_labels(folder: Path, pictures: Sequence[str], classes: int) -> Labels:
    """Read the labels of pictures.

    ``a/b.png`` has its labels in ``a/b.txt`` or ``b.txt`` below the folder.

    Args:
        folder: of the text files.
        pictures: names relative to the reference data.
        classes: of the model.

    Raises:
        UsageError: it is not a folder, or no picture has labels in it.
        SourceError: listing each line that cannot be used.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: not a folder; --labels wants YOLO text files, one per picture")
    faults: list[str] = []
    objects, missing = {}, []
    for name in pictures:
        path = _file_of(folder, name)
        if path is None:
            missing.append(name)
        else:
            objects[name] = _read(path, classes, faults)
    if faults:
        more = f" and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise SourceError("; ".join(faults[:_SHOWN]) + more)
    if not objects:
        wanted = PurePosixPath(pictures[0]).with_suffix(".txt").name if pictures else "NAME.txt"
        raise UsageError(
            f"{folder}: none of the {len(pictures)} reference images has labels here (for the first"
            f" one {wanted} is looked for)"
        )
    return Labels(objects, tuple(missing))


def _file_of(folder: Path, name: str) -> Path | None:
    relative = PurePosixPath(name).with_suffix(".txt")
    places = (folder / relative, folder / relative.name)
    return next((path for path in places if path.is_file()), None)


def _read(path: Path, classes: int, faults: list[str]) -> Floats:
    rows = []
    data = path.read_bytes()[:_MOST_BYTES]
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        if not line.strip():
            continue
        try:
            rows.append(_row(line, classes))
        except ValueError as error:
            faults.append(f"{path}:{number}: {error}")
    return np.asarray(rows, np.float32).reshape(-1, 5)


def _row(line: str, classes: int) -> list[float]:
    fields = line.split()
    if len(fields) != 5:
        raise ValueError(f"has {len(fields)} fields; a box is: class x y width height")
    try:
        values = [float(field) for field in fields]
    except ValueError:
        raise ValueError(f"{line.strip()[:60]!r} is not five numbers") from None
    if not all(math.isfinite(value) for value in values) or values[0] != int(values[0]):
        raise ValueError(f"{line.strip()[:60]!r} is not a class id and four finite numbers")
    if not 0 <= values[0] < classes:
        raise ValueError(f"class {int(values[0])}, but the model has classes 0 to {classes - 1}")
    if not all(-0.01 <= value <= 1.01 for value in values[1:]):
        raise ValueError(f"{line.strip()[:60]!r}: boxes are shares of the picture, 0 to 1")
    return values
