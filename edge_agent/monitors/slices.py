"""Does the model say the same of every camera, shift and time of day? The largest difference.

The figure compares, between two slices, the share of frames in which something was reported: each
class, and nothing at all. It stands for bias between slices and says nothing of its cause; a camera
that looks at another product differs rightly.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from edge_agent.monitors.histogram import Counts
from edge_agent.monitors.intervals import Interval, newcombe, two_sided_z

EMPTY = "empty"
SHIFTS = ("early", "late", "night")
DIMENSIONS = ("camera", "shift", "time")
CONFIDENCE = 0.95
CORRELATED_FRAMES = 10
"""Neighbouring frames show the same thing: so many count as one look."""


@dataclass
class SliceCounts:
    """What was reported in one slice (a camera, a shift, …); mergeable.

    Attributes:
        frames: that were judged and passed the gate.
        empty: of them, those with nothing reported.
        holding: (classes,) frames in which a class was reported.
        boxes: (classes,) boxes that were reported.
    """

    classes: int
    frames: int = 0
    empty: int = 0
    holding: Counts = field(init=False)
    boxes: Counts = field(init=False)

    def __post_init__(self) -> None:
        self.holding = np.zeros(self.classes, np.int64)
        self.boxes = np.zeros(self.classes, np.int64)

    def add(self, reported: Counts | None) -> None:
        """Count one frame by its (classes,) reported boxes; None for a frame without any."""
        self.frames += 1
        if reported is None:
            self.empty += 1
        else:
            self.boxes += reported
            self.holding += reported > 0

    def copy(self) -> SliceCounts:
        """Another one that counts the same."""
        made = SliceCounts(self.classes)
        made.merge(self)
        return made

    def merge(self, other: SliceCounts) -> None:
        """Add the frames of another one."""
        self.frames += other.frames
        self.empty += other.empty
        self.holding += other.holding
        self.boxes += other.boxes


@dataclass(frozen=True)
class Difference:
    """Two slices that differ in a rate.

    Attributes:
        of: class name, or ``empty`` for frames with nothing reported.
        high, low: slice with the larger and with the smaller rate.
        high_rate, low_rate: shares of frames, 0..1.
        interval: of their difference, holding for all that were compared together.
        compared: rates of pairs of slices that were compared.
        frames: of both slices.
    """

    of: str
    high: str
    low: str
    high_rate: float
    low_rate: float
    interval: Interval
    compared: int
    frames: int

    @property
    def value(self) -> float:
        """The difference of the rates, 0..1."""
        return self.high_rate - self.low_rate

    @property
    def sure(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.interval.low > 0.0


def largest_difference(
    slices: Mapping[str, SliceCounts],
    classes: Sequence[str],
    *,
    confidence: float = CONFIDENCE,
    correlated_frames: int = CORRELATED_FRAMES,
) -> Difference | None:
    """The pair of slices and the rate that differ most. Pure.

    The one whose interval lies farthest from 0 is taken, so that chance in a small slice does not
    hide a sure difference between large ones. Intervals are Newcombe's hybrid score intervals
    (Statistics in Medicine 17, 1998, method 10) with Bonferroni's correction over all pairs and
    rates, of frames divided by ``correlated_frames``.

    Args:
        slices: name -> counts, of one dimension; those without frames are left out.
        classes: names by id.
        confidence: that all intervals hold together.
        correlated_frames: neighbouring frames that are one look.

    Returns:
        None when fewer than two slices have frames.
    """
    used = {name: counts for name, counts in slices.items() if counts.frames}
    pairs = list(combinations(sorted(used), 2))
    if not pairs:
        return None
    compared = len(pairs) * (len(classes) + 1)
    z = two_sided_z(1.0 - (1.0 - confidence) / compared)
    found = [
        _difference(used, pair, rate, z=z, compared=compared, correlated=correlated_frames)
        for pair in pairs
        for rate in _rates(used[pair[0]], used[pair[1]], classes)
    ]
    return max(found, key=lambda one: (one.interval.low, one.value))


def _rates(
    first: SliceCounts, second: SliceCounts, classes: Sequence[str]
) -> Iterator[tuple[str, int, int]]:
    yield EMPTY, first.empty, second.empty
    yield from zip(classes, first.holding.tolist(), second.holding.tolist(), strict=True)


def _difference(
    slices: Mapping[str, SliceCounts],
    pair: tuple[str, str],
    rate: tuple[str, int, int],
    *,
    z: float,
    compared: int,
    correlated: int,
) -> Difference:
    of, *counts = rate
    sides = [
        (count / slices[name].frames, name, slices[name].frames / correlated)
        for name, count in zip(pair, counts, strict=True)
    ]
    low, high = sorted(sides)
    interval = newcombe((high[0], high[2]), (low[0], low[2]), z)
    frames = sum(slices[name].frames for name in pair)
    return Difference(of, high[1], low[1], high[0], low[0], interval, compared, frames)


def shift_of(hour: int) -> str:
    """The shift of an hour of local time: ``early`` from 6, ``late`` from 14, ``night`` from 22."""
    return SHIFTS[((hour - 6) % 24) // 8]


@dataclass
class Hour:
    """One hour of one model.

    Attributes:
        number: counted from anywhere; another number is another hour.
        local_hour: of the day, by which it has its shift and its time.
        cameras: id -> what its frames gave.
    """

    number: int
    local_hour: int
    cameras: dict[str, SliceCounts] = field(default_factory=dict)


def time_of(hour: int) -> str:
    """The part of the day of an hour of local time, four hours each: ``00-04`` to ``20-24``."""
    begins = hour // 4 * 4
    return f"{begins:02d}-{begins + 4:02d}"


class SliceHistory:
    """The last `HOURS` hours of one model; per hour the largest `Difference` of each dimension.

    Args:
        classes: names by id.
    """

    HOURS = 24

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = tuple(classes)
        self._hours: deque[Hour] = deque(maxlen=self.HOURS)

    @property
    def hours(self) -> int:
        """Hours in which there was something, the present one included."""
        return len(self._hours)

    def add(
        self, cameras: Mapping[str, SliceCounts], *, hour: int, local_hour: int
    ) -> dict[str, Difference]:
        """Count a window.

        Args:
            cameras: what each camera's frames gave.
            hour: number of the hour, counted from anywhere.
            local_hour: of the day, 0 to 23, by which shift and time of day are told.

        Returns:
            When this window begins another hour: dimension -> largest difference up to then.
        """
        ended = bool(self._hours) and self._hours[-1].number != hour
        found = self.differences() if ended else {}
        if ended or not self._hours:
            self._hours.append(Hour(hour, local_hour))
        present = self._hours[-1].cameras
        for name, counts in cameras.items():
            present.setdefault(name, SliceCounts(len(self.classes))).merge(counts)
        return found

    def restore(self, hours: Iterable[Hour]) -> None:
        """Begin with hours from before, oldest first."""
        self._hours.extend(hours)

    def snapshot(self) -> list[Hour]:
        """The hours so far; what is counted from now on does not change them."""
        hours = list(self._hours)
        if hours:
            last = hours[-1]
            cameras = {name: counts.copy() for name, counts in last.cameras.items()}
            hours[-1] = Hour(last.number, last.local_hour, cameras)
        return hours

    def differences(self) -> dict[str, Difference]:
        """The largest difference between cameras, shifts and times, where there are two."""
        sliced: dict[str, dict[str, SliceCounts]] = {name: {} for name in DIMENSIONS}
        for past in self._hours:
            shift, when = shift_of(past.local_hour), time_of(past.local_hour)
            for camera, counts in past.cameras.items():
                for dimension, name in zip(DIMENSIONS, (camera, shift, when), strict=True):
                    slices = sliced[dimension]
                    slices.setdefault(name, SliceCounts(len(self.classes))).merge(counts)
        found = (
            (name, largest_difference(slices, self.classes)) for name, slices in sliced.items()
        )
        return {name: difference for name, difference in found if difference is not None}
