"""One reference view of a camera, and everything that a frame is measured against it."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np

from edge_agent.detection.preprocess import Image
from edge_agent.gate.measures import Range
from edge_agent.gate.pose import Aligner, Pose
from edge_agent.gate.pulse import Pulse, flat
from edge_agent.gate.regions import CellLimits, Cells, Floats, Lost
from edge_agent.gate.ssim import Reference
from edge_agent.gate.view import View, line_mask

DARK, BRIGHT = 5, 249
"""Grey levels between which a pixel is neither black nor burnt out."""
GRADIENT_STEPS = 480
"""The gradient is taken over this share of the picture's width, so that it is that of the scene."""

_STEADY_PX = 0.05
_FAR_PX = 0.75
_BETTER = 0.01
_SEARCH_EVERY = 64
_POSES = 5


class _Fit(NamedTuple):
    """A picture put where it fits: its SSIM, the movement, the map of SSIM, what is seen of it."""

    ssim: float
    pose: Pose
    ssim_map: Floats
    cells: Cells


@dataclass(frozen=True)
class Still:
    """A reference view: the picture, and the part of it that stands still.

    Attributes:
        gray: (h, w) uint8, the reduced picture of the good view.
        mask: (h, w) uint8, not 0 where it stands still.
        aligned: whether a movement of the camera can be told from one in front of it.
    """

    gray: Image
    mask: Image
    aligned: bool = True


@dataclass(frozen=True)
class Measured:
    """What was measured of one frame.

    Attributes:
        values: measure (`measures.KINDS`) -> value, as far as it could be measured.
        pose: where the camera points, in reduced pixels, the median of the last frames.
        lost: the largest region that is not the reference.
        cells: SSIM per cell, (rows, columns).
    """

    values: Mapping[str, float]
    pose: Pose = field(default_factory=Pose)
    lost: Lost = field(default_factory=Lost)
    cells: Floats | None = None


class Standard:
    """Measures frames against one reference view; keeps buffers and history, one per thread.

    Args:
        still: the view.
        cells: what each cell usually is; None while that is being learnt.
        doubtful: SSIM below which the picture is searched for in other places; None never.
    """

    def __init__(
        self, still: Still, cells: CellLimits | None = None, doubtful: float | None = None
    ) -> None:
        self.still = still
        self.cells = Cells(still.mask)
        self._limits = cells
        self._doubtful = doubtful
        self._reference = Reference(still.gray)
        self._aligner = Aligner(still.gray, still.mask) if still.aligned else None
        self._flat = flat(still.gray, still.mask)
        self._still_pixels = cv2.countNonZero(still.mask)
        self._lines: _Lines | None = None
        self._poses: deque[Pose] = deque(maxlen=_POSES)
        self._found = Pose()
        self._searched = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the reduced picture, (h, w)."""
        return self.still.gray.shape

    def measure(self, view: View) -> Measured:
        """Everything of one frame whose reduced picture has the reference's shape."""
        lines = self._lines
        if lines is None or lines.shape != view.lines.shape:
            lines = self._lines = _Lines(self._flat, self.still.mask, view.lines.shape)
        values = self._light(view.gray)
        values |= lines.measure(view.lines, values["level"])
        fit = self._align(view.gray)
        values["ssim"] = fit.ssim
        self._poses.append(fit.pose)
        usual = _median(self._poses)
        if self._aligner is not None:
            values["moved"] = usual.moved(self.shape) / self.shape[1]
        cells = fit.cells.each(fit.ssim_map)
        lost = Lost()
        if self._limits is not None:
            lost = fit.cells.largest(self._limits.lost(cells, fit.cells.used))
            values["lost"] = lost.share
        return Measured(values, usual, lost, cells)

    def _light(self, gray: Image) -> dict[str, float]:
        good = cv2.inRange(gray, DARK, BRIGHT)
        clipped = self._still_pixels - cv2.countNonZero(cv2.bitwise_and(good, self.still.mask))
        return {
            "level": float(cv2.mean(gray, self.still.mask)[0]),
            "clipped": clipped / self._still_pixels,
        }

    def _align(self, gray: Image) -> _Fit:
        """Take the camera's shake back; where it then does not fit, look in other places."""
        aligner = self._aligner
        if aligner is None:
            return self._in_place(gray, Pose())
        pose = aligner.step(gray)
        moved = pose.moved(self.shape)
        best = self._in_place(aligner.undo(gray, pose) if moved > _STEADY_PX else gray, pose)
        doubtful = self._doubtful is not None and best.ssim < self._doubtful
        if moved > _FAR_PX or doubtful:
            return self._search(aligner, gray, best)
        self._found, self._searched = Pose(), 0
        return best

    def _in_place(self, gray: Image, pose: Pose, inside: Image | None = None) -> _Fit:
        cells = self.cells if inside is None else self.cells.seen(inside)
        ssim_map = self._reference.map(gray)
        return _Fit(cells.ssim(ssim_map), pose, ssim_map, cells)

    def _search(self, aligner: Aligner, gray: Image, best: _Fit) -> _Fit:
        """Look for the picture in other places; what fits no better has not moved there.

        A camera that was knocked stays where it is, so the place that was found last is tried
        first. While nothing fits the wide search is made ever more rarely: a dirty lens lasts.
        """
        still = self._in_place(gray, Pose())
        if best.ssim < still.ssim + _BETTER:
            best = still
        starts = [aligner.refine(gray, self._found)] if self._found != Pose() else []
        if not starts and _due(self._searched):
            starts = aligner.search(gray)
        self._searched += 1
        for pose in starts:
            tried = self._in_place(aligner.undo(gray, pose), pose, aligner.inside(pose))
            if tried.ssim > best.ssim + _BETTER:
                best = tried
        self._found = best.pose
        return best


class _Lines:
    """What is measured on the rows at full resolution, for one size of them."""

    def __init__(self, flat_mask: Image, mask: Image, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self._pulse = Pulse(line_mask(flat_mask, shape))
        self._step = max(2, shape[1] // GRADIENT_STEPS)
        whole = line_mask(mask, shape)
        self._pairs = whole[:, self._step :] & whole[:, : -self._step]
        self._count = cv2.countNonZero(self._pairs) if self._pairs.size else 0

    def measure(self, lines: Image, level: float) -> dict[str, float]:
        beat = self._pulse.beat(lines)
        values = {"repeats": float(beat.repeats)}
        if beat.noise is not None and beat.change is not None:
            values |= {"noise": beat.noise, "change": beat.change}
        if self._count:
            step = self._step
            energy = cv2.norm(lines[:, step:], lines[:, :-step], cv2.NORM_L2SQR, self._pairs)
            detail = energy / self._count
            # The mean absolute difference of two normal values is 2 / sqrt(pi) deviations, their
            # mean square 2 variances: so much of the energy is noise and not the scene's.
            detail -= min(np.pi / 2 * (beat.noise or 0.0) ** 2, 0.9 * detail)
            values["detail"] = detail / max(level, 1.0) ** 2
        return values


def _due(frames: int) -> bool:
    """Whether to search in frame 0, 1, 2, 4, 8, … in a row that does not fit."""
    return frames & (frames - 1) == 0 or frames % _SEARCH_EVERY == 0


def _median(poses: deque[Pose]) -> Pose:
    """The middle of the last poses, part by part: a shake goes, a knock stays."""
    return Pose(
        statistics.median(pose.dx for pose in poses),
        statistics.median(pose.dy for pose in poses),
        statistics.median(pose.turn for pose in poses),
        statistics.median(pose.zoom for pose in poses),
    )


def doubtful_below(ranges: Mapping[str, Range]) -> float | None:
    """SSIM half-way between usual and limit, below which a frame is worth a search."""
    limits = ranges.get("ssim")
    if limits is None or limits.low is None:
        return None
    return (limits.usual + limits.low) / 2
