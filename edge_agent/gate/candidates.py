"""The references that a frame may fit: the bundle's own, or those of a calibrated camera."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple, Protocol

import cv2
import numpy as np

from edge_agent.detection.preprocess import Image
from edge_agent.gate.baseline import Learnt
from edge_agent.gate.measures import KINDS, Range, Scorer
from edge_agent.gate.pulse import Pulse
from edge_agent.gate.ssim import Reference
from edge_agent.gate.standard import Measured, Standard, doubtful_below
from edge_agent.gate.view import View
from edge_agent.gate.words import sentence

LEAVE = 0.85
"""A check that failed passes again when its score is below this."""
MOST_REPEATS = 50.0
"""Frames that may repeat to the last bit where nothing was learnt of the camera."""

_THUMB = (16, 12)


class Found(NamedTuple):
    """A score of one check, how to put it into words, and below what it passes again."""

    score: float
    words: Callable[[], str]
    leave: float = LEAVE


class Judged(NamedTuple):
    """What one reference says of a frame."""

    name: str
    ssim: float | None
    found: Mapping[str, Found]

    @property
    def worst(self) -> float:
        """The largest score."""
        return max((found.score for found in self.found.values()), default=0.0)


class Candidate(Protocol):
    """A reference that a frame is held against; it has buffers and a history, one per camera.

    Attributes:
        name: of the reference, "" for the bundle's.
    """

    name: str

    def distance(self, thumb: Image) -> float:
        """How unlike a frame's thumbnail is; only to be compared with that of others."""
        ...

    def judge(self, view: View) -> Judged:
        """Score the next frame."""
        ...


class Plain:
    """The bundle's reference, for a camera that was not calibrated: SSIM of the whole picture.

    Args:
        gray: (h, w) uint8, the reduced reference; None without one.
        limits: of SSIM; None where no limit is known, and without ``usual`` where a person set it.
    """

    def __init__(self, gray: Image | None, limits: Range | None, *, learnt: bool) -> None:
        self.name = ""
        self._reference = None if gray is None else Reference(gray)
        self._limits = limits
        self._scorer = None if limits is None else Scorer("ssim", limits)
        self._leave = LEAVE if learnt else 1.0
        self._pulse: Pulse | None = None
        self._lines: tuple[int, ...] = ()

    def distance(self, thumb: Image) -> float:
        """There is no other to choose from."""
        return 0.0

    def judge(self, view: View) -> Judged:
        """SSIM, where there is a reference, and whether the picture repeats itself."""
        found = {"freeze": self._freeze(view)}
        if self._reference is None:
            return Judged("", None, found)
        ssim = self._reference.ssim(fit(view.gray, self._reference.shape))
        if self._limits is not None and self._scorer is not None:
            words = _words("ssim", ssim, self._limits)
            found["ssim"] = Found(self._scorer.score(ssim), words, self._leave)
        return Judged("", ssim, found)

    def _freeze(self, view: View) -> Found:
        if self._pulse is None or view.lines.shape != self._lines:
            self._pulse, self._lines = Pulse(np.ones_like(view.lines)), view.lines.shape
        repeats = float(self._pulse.beat(view.lines).repeats)
        words = _words("repeats", repeats, Range(0.0, high=MOST_REPEATS))
        return Found(repeats / MOST_REPEATS, words)


class Calibrated:
    """One reference of a camera's baseline: every check that was learnt.

    Args:
        name: of the reference.
        learnt: the view and its limits.
        frame_width: of the camera's pictures, in pixels.
        ssim_min: overrides the learnt least SSIM.
    """

    def __init__(
        self, name: str, learnt: Learnt, frame_width: int, ssim_min: float | None = None
    ) -> None:
        self.name = name
        self._ranges = dict(learnt.ranges)
        if ssim_min is not None:
            usual = self._ranges["ssim"].usual
            self._ranges["ssim"] = Range(usual if ssim_min < usual else 1.0, ssim_min)
        self._standard = Standard(learnt.still, learnt.cells, doubtful_below(self._ranges))
        self._scorers = [Scorer(measure, limits) for measure, limits in self._ranges.items()]
        self._scale = frame_width / learnt.still.gray.shape[1]
        self._thumb = thumbnail(learnt.still.gray)
        self._weights = thumbnail(learnt.still.mask).astype(np.float32) / 255.0 + 0.01

    def distance(self, thumb: Image) -> float:
        """Mean difference in grey levels, where the view stands still."""
        away = cv2.absdiff(thumb, self._thumb).astype(np.float32)
        return float((away * self._weights).sum() / self._weights.sum())

    def judge(self, view: View) -> Judged:
        """Of the measures of a check the worst counts."""
        if view.gray.shape != self._standard.shape:
            view = replace(view, gray=fit(view.gray, self._standard.shape))
        measured = self._standard.measure(view)
        found: dict[str, Found] = {}
        for scorer in self._scorers:
            value = measured.values.get(scorer.name)
            if value is None:
                continue
            check, score = KINDS[scorer.name].check, scorer.score(value)
            if check not in found or score > found[check].score:
                found[check] = Found(score, self._words(scorer.name, measured))
        return Judged(self.name, measured.values["ssim"], found)

    def _words(self, name: str, measured: Measured) -> Callable[[], str]:
        return lambda: sentence(name, measured, self._ranges[name], self._scale)


def _words(name: str, value: float, limits: Range) -> Callable[[], str]:
    return lambda: sentence(name, Measured({name: value}), limits, 1.0)


def thumbnail(gray: Image) -> Image:
    """A reduced picture so small that comparing it costs nothing."""
    return np.asarray(cv2.resize(gray, _THUMB, interpolation=cv2.INTER_AREA), np.uint8)


def fit(gray: Image, shape: tuple[int, ...]) -> Image:
    """A reduced picture of another size brought to (h, w)."""
    if gray.shape == shape:
        return gray
    size = (shape[1], shape[0])
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint8)
