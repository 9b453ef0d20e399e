"""What every export begins with: pictures with boxes, and one list of classes for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_agent.captures.shelf import Capture
from edge_agent.errors import UsageError

PICTURES = "images"
LOCAL_FILES = f"/data/local-files/?d={PICTURES}/"  # how Label Studio serves a folder


@dataclass(frozen=True)
class Box:
    """A box inside its picture.

    Attributes:
        class_id: index into the data set's classes.
        x0, y0, x1, y1: pixels; x0 < x1 and y0 < y1.
        score: the model's, 0..1.
    """

    class_id: int
    x0: float
    y0: float
    x1: float
    y1: float
    score: float


@dataclass(frozen=True)
class Item:
    """A picture and the model's boxes in it.

    Attributes:
        file: its name in the export; unique in the fleet.
        width, height: pixels.
    """

    file: str
    width: int
    height: int
    boxes: tuple[Box, ...]
    capture: Capture

    @property
    def stem(self) -> str:
        """The file's name without its suffix."""
        return self.file.rpartition(".")[0]


@dataclass(frozen=True)
class Dataset:
    """Everything that is exported together.

    Attributes:
        picture_url: what stands before a picture's name, for tools that read pictures by URL.
    """

    classes: tuple[str, ...]
    items: tuple[Item, ...]
    picture_url: str = LOCAL_FILES


@dataclass(frozen=True)
class Format:
    """One kind of data set. The pictures lie in `PICTURES`.

    Attributes:
        documents: every other file, as (path in the export, content).
        import_it: how a person brings it into the tool, as lines.
    """

    documents: Callable[[Dataset], Iterator[tuple[str, bytes]]]
    import_it: str


def gather(
    captures: Sequence[Capture], *, confidence: float | None = None, picture_url: str = LOCAL_FILES
) -> Dataset:
    """Make a data set of captures.

    Args:
        captures: in the order of taking, at least one.
        confidence: boxes above this score; None takes each release's own threshold.
        picture_url: see `Dataset`.

    Raises:
        UsageError: captures of several models, which have no common list of classes.
    """
    models = sorted({capture.record.release.model for capture in captures})
    if len(models) > 1:
        raise UsageError(
            f"these are captures of {len(models)} models; choose one by --model:"
            f" {', '.join(models)}"
        )
    classes = common_classes([capture.record.release.classes for capture in captures])
    items = tuple(_item(capture, classes, confidence) for capture in captures)
    return Dataset(classes, items, picture_url)


def common_classes(lists: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The newest list, and after it the names that only older ones have.

    So the ids of the present model stay what they are, and nothing of the older ones is lost.
    """
    newest = lists[-1]
    older = dict.fromkeys(name for names in lists for name in names if name not in newest)
    return (*newest, *older)


def _item(capture: Capture, classes: tuple[str, ...], confidence: float | None) -> Item:
    record = capture.record
    ids = _ids(record.release.classes, classes)
    boxes = []
    for detection in record.detections or ():
        x0, y0, x1, y1, score, number = detection
        least = record.release.threshold(detection) if confidence is None else confidence
        left, right = (min(max(x, 0.0), float(record.width)) for x in (x0, x1))
        top, bottom = (min(max(y, 0.0), float(record.height)) for y in (y0, y1))
        if score > least and left < right and top < bottom:
            boxes.append(Box(ids[int(number)], left, top, right, bottom, score))
    file = f"{record.frame.device}_{capture.picture.name}"
    return Item(file, record.width, record.height, tuple(boxes), capture)


def _ids(own: tuple[str, ...], common: tuple[str, ...]) -> Sequence[int]:
    """Ids in the common list for ids of a release's own."""
    if common[: len(own)] == own:
        return range(len(own))  # also right where two classes have the same name
    return [common.index(name) for name in own]


def picture_paths(dataset: Dataset) -> Iterator[tuple[str, Path]]:
    """Each picture's path in the export, and where it comes from."""
    for item in dataset.items:
        yield f"{PICTURES}/{item.file}", item.capture.picture
