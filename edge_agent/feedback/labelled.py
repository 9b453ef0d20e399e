"""Captures with corrected boxes, as labelling tools give them back: YOLO or COCO.

Pictures keep the names that `edge-agent captures export` gave them; tools may put something before
them. Only pictures that the data set says something of are taken: in YOLO a label file, empty or
not; in COCO an entry of ``images``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from edge_agent.captures.record import NAME, Record
from edge_agent.captures.shelf import Capture
from edge_agent.checked import Fields
from edge_agent.errors import StorageError, UsageError, storage_errors
from edge_agent.feedback.frames import Box, Detected, FrameKey
from edge_agent.feedback.store import Store
from edge_agent.feedback.take import detected_in

_CAPTURE = re.compile(NAME + "$")
_NAME_FILES = ("classes.txt", "obj.names", "labels/classes.txt", "labels/labels.txt")
_SOME = 5


@dataclass(frozen=True)
class Picture:
    """One labelled picture.

    Attributes:
        stem: of its file's name.
        boxes: class name and x0, y0, x1, y1 as shares of the picture.
    """

    stem: str
    boxes: tuple[tuple[str, float, float, float, float], ...]


@dataclass(frozen=True)
class Imported:
    """What became of a data set.

    Attributes:
        frames: that were taken, with `boxes` objects in them.
        strangers: stems of pictures that are no captures of this folder.
        unjudged: pictures that the gate had kept from the model, which says nothing of it.
        repeated: pictures that were there twice, with the same boxes.
    """

    frames: int
    boxes: int
    strangers: tuple[str, ...]
    unjudged: int
    repeated: int


def take_labels(store: Store, folder: Path, captures: Sequence[Capture]) -> Imported:
    """Keep the boxes of a labelled data set as the truth about captured frames.

    Args:
        store: where they are kept; older labels of the same frame are overruled.
        folder: of the data set.
        captures: frames that it may be about.

    Raises:
        UsageError: it is no such data set, with what is wrong and where, or it says two things
            of one frame. Nothing is kept then.
        StorageError: it cannot be read, or the disk refuses.
    """
    by_name = {f"{one.record.frame.device}_{one.name}": one.record for one in captures}
    truths: dict[FrameKey, _Truth] = {}
    strangers, unjudged, repeated = [], 0, 0
    for picture in read(folder):
        record = _record(picture.stem, by_name)
        if record is None:
            strangers.append(picture.stem)
        elif record.detections is None:
            unjudged += 1
        else:
            new = _truth(picture, record)
            known = truths.setdefault(new.detected.key, new)
            if known.boxes != new.boxes:
                raise UsageError(
                    f"{folder}: {known.stem} and {new.stem} are one frame"
                    f" ({new.detected.key}) with different boxes; leave one of them"
                )
            repeated += known is not new
    for stem, detected, boxes in truths.values():
        store.label(detected, boxes, source=stem)
    objects = sum(len(one.boxes) for one in truths.values())
    return Imported(len(truths), objects, tuple(strangers), unjudged, repeated)


class _Truth(NamedTuple):
    stem: str
    detected: Detected
    boxes: tuple[Box, ...]


def _truth(picture: Picture, record: Record) -> _Truth:
    """The true boxes of a capture, in pixels."""
    width, height = record.width, record.height
    boxes = tuple(
        Box(name, x0 * width, y0 * height, x1 * width, y1 * height)
        for name, x0, y0, x1, y1 in picture.boxes
    )
    return _Truth(picture.stem, detected_in(record), boxes)


def read(folder: Path) -> list[Picture]:
    """The pictures of a YOLO or COCO data set; see `take_labels` for what is raised."""
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; unpack the tool's export first")
    with storage_errors(folder):
        documents = sorted((*folder.glob("annotations/*.json"), *folder.glob("*.json")))
        if documents:
            return [picture for path in documents for picture in _coco(path)]
        if (folder / "labels").is_dir():
            return list(_yolo(folder))
    raise UsageError(
        f"{folder}: neither labels/*.txt (YOLO) nor annotations/*.json (COCO) is in it"
    )


def _record(stem: str, by_name: dict[str, Record]) -> Record | None:
    """The capture that a picture's name ends with; tools put numbers of their own before it."""
    if _CAPTURE.search(stem) is None:
        return None
    exact = by_name.get(stem)
    if exact is not None:
        return exact
    found = [name for name in by_name if stem.endswith(f"-{name}") or stem.endswith(f"_{name}")]
    return by_name[max(found, key=len)] if found else None


def _yolo(folder: Path) -> Iterator[Picture]:
    names = _names(folder)
    faults: list[str] = []
    pictures = []
    for path in sorted((folder / "labels").rglob("*.txt")):
        if path.name not in ("classes.txt", "labels.txt"):
            lines = _text(path).splitlines()
            rows = [
                _yolo_row(line, names, f"{path}:{number}", faults)
                for number, line in enumerate(lines, 1)
                if line.strip()
            ]
            pictures.append(Picture(path.stem, tuple(row for row in rows if row is not None)))
    _fail(faults)
    yield from pictures


def _yolo_row(
    line: str, names: Sequence[str], where: str, faults: list[str]
) -> tuple[str, float, float, float, float] | None:
    try:
        number, *shares = (float(word) for word in line.split())
        kind = int(number)
        if kind != number or not 0 <= kind < len(names):
            faults.append(f"{where}: class {number:g} is not one of the {len(names)} named ones")
            return None
        across, down, width, height = shares
    except (ValueError, OverflowError):
        faults.append(f'{where}: "{line[:60]}" should be class, centre x, y, width, height')
        return None
    if not (0 <= across <= 1 and 0 <= down <= 1 and 0 < width <= 1 and 0 < height <= 1):
        faults.append(f'{where}: "{line[:60]}" should hold shares of the picture, 0 to 1')
        return None
    return (
        names[kind],
        *(across - width / 2, down - height / 2, across + width / 2, down + height / 2),
    )


def _names(folder: Path) -> list[str]:
    """Class names by id."""
    for name in _NAME_FILES:
        if (folder / name).is_file():
            return [line.strip() for line in _text(folder / name).splitlines() if line.strip()]
    path = folder / "data.yaml"
    if path.is_file():
        # One entry a line, "  0: name" or "  - name", as YOLO's tools write them.
        _, _, after = _text(path).partition("names:")
        entries = re.findall(r"^\s+(?:\d+:|-)\s+(.+?)\s*$", after, re.MULTILINE)
        if entries:
            return [_unquoted(entry) for entry in entries]
    raise UsageError(f"{folder}: has no class names; write them into classes.txt, one a line")


def _unquoted(text: str) -> str:
    if text.startswith('"'):
        try:
            return str(json.loads(text))
        except ValueError:
            return text.strip('"')
    return text.strip("'")


def _coco(path: Path) -> list[Picture]:
    try:
        fields = Fields(json.loads(_text(path)))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not JSON: {error}") from None
    names = {one.integer("id"): one.text("name") for one in fields.tables("categories", least=1)}
    sizes: dict[int, tuple[str, int, int]] = {}
    for one in fields.tables("images", least=1):
        stem = Path(one.text("file_name")).stem
        sizes[one.integer("id")] = (
            stem,
            one.integer("width", least=1),
            one.integer("height", least=1),
        )
    boxes: dict[int, list[tuple[str, float, float, float, float]]] = {key: [] for key in sizes}
    for one in fields.tables("annotations"):
        image, kind, sides = (
            one.integer("image_id"),
            one.integer("category_id"),
            one.numbers("bbox"),
        )
        if image not in sizes or kind not in names:
            one.fault("", f"image {image} or category {kind} is not in the document")
        elif len(sides) != 4 or min(sides[2:]) <= 0:
            one.fault("bbox", f"{list(sides)} should be x, y, width, height in pixels")
        else:
            x, y, across, down = sides
            _, width, height = sizes[image]
            boxes[image].append(
                (names[kind], x / width, y / height, (x + across) / width, (y + down) / height)
            )
    _fail([f"{path}: {fault}" for fault in fields.faults])
    return [Picture(sizes[key][0], tuple(rows)) for key, rows in boxes.items()]


def _text(path: Path) -> str:
    try:
        with storage_errors(path):
            return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not a text in UTF-8; export again") from None
    except FileNotFoundError:
        raise StorageError(f"{path}: went away while it was read; import again") from None


def _fail(faults: Sequence[str]) -> None:
    if faults:
        more = f"; and {len(faults) - _SOME} more" if len(faults) > _SOME else ""
        raise UsageError("; ".join(faults[:_SOME]) + more)
