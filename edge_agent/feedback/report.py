"""Precision, recall and the confusion matrix, per class and slice, with their uncertainty. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from edge_agent.feedback.join import Pair
from edge_agent.feedback.weight import effective_count
from edge_agent.monitors.intervals import wilson

BACKGROUND = "background"
ALL = "all"
DIMENSIONS = ("camera", "shift", "time", "version")
Independent = Mapping[str, float]
"""Camera -> integrated autocorrelation time in seconds."""


@dataclass(frozen=True)
class Rate:
    """A share with Wilson's 95 % interval of as many looks as it is worth (`weight`).

    Attributes:
        value, low, high: 0..1.
        count: of what it is a share.
        effective: independent looks that would say as much.
    """

    value: float
    low: float
    high: float
    count: int
    effective: float

    @classmethod
    def of(cls, looks: Sequence[Pair], independent_s: Independent) -> Rate | None:
        """The share of pairs whose classes are the same; None when there is nothing to count."""
        if not looks:
            return None
        share = sum(pair.truth == pair.detected for pair in looks) / len(looks)
        effective = effective_count(((pair.camera, pair.at) for pair in looks), independent_s)
        interval = wilson(share, effective)
        return cls(share, interval.low, interval.high, len(looks), round(effective, 1))


@dataclass(frozen=True)
class ClassFigures:
    """What was said of one class.

    Attributes:
        right: detections that are what they say.
        wrong: detections of this class that are something else, or nothing.
        missed: objects of this class that were not reported as such.
        precision: right of all detections; recall: right of all objects; None of none.
    """

    name: str
    right: int
    wrong: int
    missed: int
    precision: Rate | None
    recall: Rate | None

    @classmethod
    def of(
        cls,
        name: str,
        detections: Sequence[Pair],
        objects: Sequence[Pair],
        independent_s: Independent,
    ) -> ClassFigures:
        """The figures of these detections and these objects; pairs may be in both."""
        right = sum(pair.truth == pair.detected for pair in detections)
        precision, recall = (Rate.of(looks, independent_s) for looks in (detections, objects))
        wrong, missed = len(detections) - right, len(objects) - right
        return cls(name, right, wrong, missed, precision, recall)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What pairs come to.

    Attributes:
        whole: all classes together.
        classes: each by itself.
        names: of the confusion matrix's rows and columns, `BACKGROUND` last.
        confusion: rows are what is there, columns are what was reported.
    """

    whole: ClassFigures
    classes: tuple[ClassFigures, ...]
    names: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]

    def confusions(self) -> list[tuple[str, str, int]]:
        """What is there, what was reported, how often; the most frequent mistake first."""
        cells = [
            (truth, found, count)
            for truth, row in zip(self.names, self.confusion, strict=True)
            for found, count in zip(self.names, row, strict=True)
            if count and truth != found
        ]
        return sorted(cells, key=lambda cell: (-cell[2], cell[0], cell[1]))

    def document(self) -> dict[str, Any]:
        """For JSON; rates that nothing is known of are null."""
        return {
            "overall": asdict(self.whole),
            "classes": [asdict(figures) for figures in self.classes],
            "confusion": {"names": self.names, "rows": self.confusion},
        }


@dataclass(frozen=True, kw_only=True)
class SliceFigures(Figures):
    """One slice, e.g. of the camera ``top``."""

    dimension: str
    name: str

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {"dimension": self.dimension, "name": self.name, **super().document()}


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What figures rest on.

    Attributes:
        frames: that somebody judged or labelled and that were joined.
        labelled: of them, those with true boxes.
        unjoined: verdicts about frames whose detections are not known (any more).
        unfit: verdicts that cannot be about their frame, which was found later.
        repeated: verdicts that said what was said before.
        overruled: verdicts and labels after which something else was said; the newest counts.
        independent_s: of the cameras that were calibrated; `weight.ASSUMED_S` of all others.
    """

    frames: int = 0
    labelled: int = 0
    unjoined: int = 0
    unfit: int = 0
    repeated: int = 0
    overruled: int = 0
    independent_s: Independent = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Report(Figures):
    """Everything that is known.

    Attributes:
        evidence: what it rests on.
        slices: cameras, shifts, times of day and versions.
    """

    evidence: Evidence
    slices: tuple[SliceFigures, ...]

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "schema_version": 2,
            **asdict(self.evidence),
            **super().document(),
            "slices": [one.document() for one in self.slices],
        }


def count(pairs: Sequence[Pair], evidence: Evidence | None = None) -> Report:
    """Count pairs."""
    evidence = evidence or Evidence()
    slices = tuple(
        SliceFigures(dimension=dimension, name=name, **_figures(part, evidence.independent_s))
        for dimension in DIMENSIONS
        for name, part in _grouped(pairs, partial(Pair.slice, dimension=dimension)).items()
    )
    whole = _figures(pairs, evidence.independent_s)
    return Report(evidence=evidence, slices=slices, **whole)


def _figures(pairs: Sequence[Pair], independent_s: Independent) -> dict[str, Any]:
    """The fields of `Figures`."""
    detections = _grouped(pairs, lambda pair: pair.detected)
    objects = _grouped(pairs, lambda pair: pair.truth)
    names = sorted(detections.keys() | objects.keys())
    cells = Counter((pair.truth, pair.detected) for pair in pairs)
    axis = (*names, None)
    return {
        "whole": ClassFigures.of(
            ALL,
            [pair for pair in pairs if pair.detected is not None],
            [pair for pair in pairs if pair.truth is not None],
            independent_s,
        ),
        "classes": tuple(
            ClassFigures.of(name, detections.get(name, []), objects.get(name, []), independent_s)
            for name in names
        ),
        "names": (*names, BACKGROUND),
        "confusion": tuple(tuple(cells[truth, found] for found in axis) for truth in axis),
    }


def _grouped(pairs: Iterable[Pair], by: Callable[[Pair], str | None]) -> dict[str, list[Pair]]:
    """Pairs by a name, in its order; those without one are left out."""
    groups: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        name = by(pair)
        if name is not None:
            groups[name].append(pair)
    return dict(sorted(groups.items()))
