"""From frames and what was said of them to pairs of truth and detection. Pure."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from edge_agent.feedback.frames import Box, Detected, pick
from edge_agent.feedback.judgement import MISSED, RIGHT, Judgement
from edge_agent.monitors.slices import shift_of

IOU = 0.5
_HOURS = 3


@dataclass(frozen=True)
class Pair:
    """One object or detection of a frame; None is background.

    Attributes:
        truth: class of the object that is there.
        detected: class that the device reported.
        camera: that saw it.
        model, version: that judged it.
        at: wall-clock seconds of capture.
    """

    truth: str | None
    detected: str | None
    camera: str
    model: str
    version: int
    at: float

    @property
    def hour(self) -> int:
        """Of capture, in the device's local time."""
        return time.localtime(self.at).tm_hour

    def slice(self, dimension: str) -> str:
        """To which ``camera``, ``shift``, ``time`` (of day) or ``version`` it belongs."""
        if dimension == "camera":
            return self.camera
        if dimension == "shift":
            return shift_of(self.hour)
        if dimension == "time":
            began = self.hour - self.hour % _HOURS
            return f"{began:02d}-{began + _HOURS:02d}"
        return f"{self.model} {self.version}"


@dataclass
class Heard:
    """What a frame's verdicts come to.

    Attributes:
        pairs: that count.
        repeated: verdicts about a thing of which the same was said before.
        overruled: verdicts about a thing of which something else was said later.
    """

    pairs: list[Pair] = field(default_factory=list)
    repeated: int = 0
    overruled: int = 0


def from_labels(frame: Detected, truth: Sequence[Box]) -> list[Pair]:
    """Pairs of a frame whose true boxes are known.

    Boxes of one class are matched first, then what is left of any class, each time the largest
    overlap first, down to an intersection over union of `IOU`: an object that was found as another
    class is a confusion, unless it was found as itself too.
    """
    free_truth, free_found = dict(enumerate(truth)), dict(enumerate(frame.boxes))
    names: list[tuple[str | None, str | None]] = []
    for same in (True, False):
        for actual, found in _matches(free_truth, free_found, same=same):
            names.append((free_truth.pop(actual).name, free_found.pop(found).name))
    names += [(box.name, None) for box in free_truth.values()]
    names += [(None, box.name) for box in free_found.values()]
    return _pairs(frame, names)


def from_judgements(frame: Detected, said: Iterable[Judgement]) -> Heard:
    """Pairs of a frame that inspectors judged; of two words about one thing the later counts.

    Detections about which nothing was said are left out. A frame without detections that is
    called right, and of which nothing was missed, is a pair of background and background.

    Args:
        frame: what was detected.
        said: of it, in the order in which it was said.
    """
    heard = Heard()
    verdicts: dict[int, str | None] = {}
    missed: list[Judgement] = []
    empty = False
    for judgement in said:
        if judgement.verdict == MISSED:
            known = any(_is_same(judgement, other) for other in missed)
            heard.repeated += known
            missed += [] if known else [judgement]
        for number in judgement.targets(frame.boxes):
            right = judgement.verdict == RIGHT
            truth = frame.boxes[number].name if right else judgement.actual or None
            if number in verdicts:
                heard.repeated += verdicts[number] == truth
                heard.overruled += verdicts[number] != truth
            verdicts[number] = truth
        if judgement.verdict == RIGHT and not frame.boxes:
            heard.repeated += empty
            empty = True
    names: list[tuple[str | None, str | None]] = [
        (truth, frame.boxes[number].name) for number, truth in sorted(verdicts.items())
    ]
    names += [(judgement.name, None) for judgement in missed]
    if empty and not names:
        names.append((None, None))
    heard.pairs = _pairs(frame, names)
    return heard


def _is_same(first: Judgement, second: Judgement) -> bool:
    """Whether two words tell of the same missed object."""
    if first.near is None or second.near is None:
        return (first.name, first.box) == (second.name, second.box)
    return bool(pick([(0, first.near)], name=second.name, near=second.near, least=IOU))


def _matches(truth: dict[int, Box], found: dict[int, Box], *, same: bool) -> list[tuple[int, int]]:
    """Pairs of numbers, the largest overlap first, each number once."""
    overlaps = sorted(
        (
            (-actual.overlap(box), first, second)
            for first, actual in truth.items()
            for second, box in found.items()
            if (actual.name == box.name or not same) and actual.overlap(box) >= IOU
        ),
    )
    chosen: list[tuple[int, int]] = []
    taken: tuple[set[int], set[int]] = (set(), set())
    for _, first, second in overlaps:
        if first not in taken[0] and second not in taken[1]:
            chosen.append((first, second))
            taken[0].add(first)
            taken[1].add(second)
    return chosen


def _pairs(frame: Detected, names: Iterable[tuple[str | None, str | None]]) -> list[Pair]:
    key = frame.key
    return [
        Pair(truth, found, key.camera, frame.model, frame.version, frame.at)
        for truth, found in names
    ]
