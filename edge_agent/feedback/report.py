"""Precision, recall and the confusion matrix, per class and slice, with their uncertainty. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edge_agent.feedback.join import Pair
from edge_agent.monitors.intervals import wilson

BACKGROUND = "background"
DIMENSIONS = ("camera", "shift", "version")


@dataclass(frozen=True)
class Rate:
    """A share with Wilson's 95 % interval, as if all of it had been seen independently.

    Attributes:
        value, low, high: 0..1.
        count: of what it is a share.
    """

    value: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, hits: int, count: int) -> Rate | None:
        """None when there was nothing to count."""
        if not count:
            return None
        interval = wilson(hits / count, count)
        return cls(hits / count, interval.low, interval.high, count)


@dataclass(frozen=True)
class ClassFigures:
    """What was said of one class.

    Attributes:
        right: detections that are what they say.
        wrong: detections of this class that are something else, or nothing.
        missed: objects of this class that were not reported as such.
        precision: right of all detections; recall: right of all objects.
    """

    name: str
    right: int
    wrong: int
    missed: int

    @property
    def precision(self) -> Rate | None:
        """Which share of its detections is right."""
        return Rate.of(self.right, self.right + self.wrong)

    @property
    def recall(self) -> Rate | None:
        """Which share of its objects was found."""
        return Rate.of(self.right, self.right + self.missed)

    def document(self) -> dict[str, Any]:
        """For JSON; rates that nothing is known of are null."""
        rates = {"precision": self.precision, "recall": self.recall}
        return asdict(self) | {
            name: None if rate is None else asdict(rate) for name, rate in rates.items()
        }


@dataclass(frozen=True)
class SliceFigures:
    """The classes of one slice, e.g. of the camera ``top``."""

    dimension: str
    name: str
    classes: tuple[ClassFigures, ...]


@dataclass(frozen=True)
class Report:
    """Everything that is known.

    Attributes:
        frames: that somebody judged or labelled and that were joined.
        labelled: of them, those with true boxes.
        unjoined: words about frames whose detections are not known (any more).
        whole: all classes together.
        classes: each by itself.
        slices: cameras, shifts and versions.
        names: of the confusion matrix's rows and columns, `BACKGROUND` last.
        confusion: rows are what is there, columns are what was reported.
    """

    frames: int
    labelled: int
    unjoined: int
    whole: ClassFigures
    classes: tuple[ClassFigures, ...]
    slices: tuple[SliceFigures, ...]
    names: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "schema_version": 1,
            "frames": self.frames,
            "labelled": self.labelled,
            "unjoined": self.unjoined,
            "overall": self.whole.document(),
            "classes": [figures.document() for figures in self.classes],
            "slices": [
                {
                    "dimension": one.dimension,
                    "name": one.name,
                    "classes": [figures.document() for figures in one.classes],
                }
                for one in self.slices
            ],
            "confusion": {"names": self.names, "rows": self.confusion},
        }


def count(
    pairs: Sequence[Pair], *, frames: int = 0, labelled: int = 0, unjoined: int = 0
) -> Report:
    """Count pairs; see `Report` for the other arguments."""
    names = sorted({name for pair in pairs for name in (pair.truth, pair.detected) if name})
    classes = _figures(pairs, names)
    cells = Counter((pair.truth, pair.detected) for pair in pairs)
    axis = (*names, None)
    return Report(
        frames,
        labelled,
        unjoined,
        _whole(classes),
        classes,
        tuple(_slices(pairs)),
        (*names, BACKGROUND),
        tuple(tuple(cells[truth, found] for found in axis) for truth in axis),
    )


def _figures(pairs: Iterable[Pair], names: Sequence[str]) -> tuple[ClassFigures, ...]:
    cells = Counter((pair.truth, pair.detected) for pair in pairs)
    figures = []
    for name in names:
        right = cells[name, name]
        detected = sum(number for (_, found), number in cells.items() if found == name)
        objects = sum(number for (truth, _), number in cells.items() if truth == name)
        figures.append(ClassFigures(name, right, detected - right, objects - right))
    return tuple(figures)


def _whole(classes: Sequence[ClassFigures]) -> ClassFigures:
    return ClassFigures(
        "all",
        sum(one.right for one in classes),
        sum(one.wrong for one in classes),
        sum(one.missed for one in classes),
    )


def _slices(pairs: Sequence[Pair]) -> Iterable[SliceFigures]:
    for dimension in DIMENSIONS:
        for name in sorted({str(getattr(pair, dimension)) for pair in pairs}):
            part = [pair for pair in pairs if getattr(pair, dimension) == name]
            names = sorted({kind for pair in part for kind in (pair.truth, pair.detected) if kind})
            yield SliceFigures(dimension, name, _figures(part, names))
