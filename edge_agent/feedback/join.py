"""From frames and what was said of them to pairs of truth and detection. Pure."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge_agent.feedback.frames import Box, Detected
from edge_agent.feedback.judgement import MISSED, RIGHT, Judgement
from edge_agent.monitors.slices import shift_of

IOU = 0.5


@dataclass(frozen=True)
class Pair:
    """One object or detection of a frame; None is background.

    Attributes:
        truth: class of the object that is there.
        detected: class that the device reported.
        camera, shift, version: the slices that it belongs to.
    """

    truth: str | None
    detected: str | None
    camera: str
    shift: str
    version: str


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


def from_judgements(frame: Detected, said: Iterable[Judgement]) -> list[Pair]:
    """Pairs of a frame that inspectors judged; of two words about one thing the later counts.

    Detections about which nothing was said are left out. A frame without detections that is
    called right, and of which nothing was missed, is a pair of background and background.
    """
    verdicts: dict[int, str | None] = {}
    missed: dict[tuple[str, tuple[float, ...] | None], None] = {}
    empty = False
    for judgement in said:
        if judgement.verdict == MISSED:
            missed[judgement.name, judgement.box] = None
        for number in judgement.targets(frame.boxes):
            right = judgement.verdict == RIGHT
            verdicts[number] = frame.boxes[number].name if right else judgement.actual or None
        empty |= judgement.verdict == RIGHT and not frame.boxes
    names: list[tuple[str | None, str | None]] = [
        (truth, frame.boxes[number].name) for number, truth in sorted(verdicts.items())
    ]
    names += [(name, None) for name, _ in missed]
    if empty and not names:
        names.append((None, None))
    return _pairs(frame, names)


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
    camera, version = frame.key.camera, f"{frame.model} {frame.version}"
    shift = shift_of(time.localtime(frame.at).tm_hour)
    return [Pair(truth, found, camera, shift, version) for truth, found in names]
