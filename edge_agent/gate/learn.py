"""Commissioning: from good frames to a reference view, its still part, limits and independence.

First the view: `settle` takes some frames and finds the picture and what of it stands still. Then
the `Student` measures frames against it, with the very code that judges later, and `learn` turns
what was measured into limits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edge_agent.detection.preprocess import Image
from edge_agent.errors import SourceError
from edge_agent.gate.baseline import Learnt
from edge_agent.gate.independence import autocorrelation_time
from edge_agent.gate.measures import KINDS, Scorer, learn_range
from edge_agent.gate.pose import Aligner
from edge_agent.gate.regions import learn_cells
from edge_agent.gate.ssim import WINDOW, Reference
from edge_agent.gate.standard import Measured, Standard, Still
from edge_agent.gate.statistics import Statistics, measure
from edge_agent.gate.view import View

LEAST_FRAMES = 30
LEAST_STILL = 0.05
STILL_SSIM = 0.5
BETWEEN_FRAMES = ("noise", "change", "repeats")
"""What only frames in a row can tell; not learnt from a folder of pictures."""

_SHOWN, _APART = 6, 10  # of each measure and side; frames that are nearer look alike
_CELLS_KEPT = 2000
_Entry = tuple[float, int, Image]


def settle(grays: Sequence[Image], ignored: npt.NDArray[np.bool_] | None = None) -> Still:
    """The reference view of reduced (h, w) grey pictures of one size, and what of it stands still.

    Still is where SSIM with the median picture keeps above `STILL_SSIM` in 95 of 100 frames. The
    first round does without alignment and finds enough to take a camera's shake out of the second.

    Args:
        grays: good pictures.
        ignored: (h, w), true where nothing is to be compared, whatever it does.

    Raises:
        SourceError: too few pictures, too small ones, or next to nothing is left to compare.
    """
    if len(grays) < LEAST_FRAMES:
        raise SourceError(
            f"{len(grays)} frames are too few to learn from, {LEAST_FRAMES} are needed; take longer"
        )
    compared = np.ones_like(grays[0], np.bool_) if ignored is None else ~ignored
    if compared.mean() < LEAST_STILL:
        raise SourceError(
            f"[gate.ignore] leaves {compared.mean():.0%} of the picture to compare, at least"
            f" {LEAST_STILL:.0%} is needed; make its shapes smaller"
        )
    still = _still(np.stack(grays), compared)
    if not still.aligned:
        return still
    aligner = Aligner(still.gray, still.mask)
    return _still(np.stack([aligner.undo(gray, aligner.step(gray)) for gray in grays]), compared)


def _still(stack: npt.NDArray[np.uint8], compared: npt.NDArray[np.bool_]) -> Still:
    gray = np.asarray(np.median(stack, axis=0), np.uint8)
    reference, border = Reference(gray), WINDOW // 2
    maps = np.stack([reference.map(picture) for picture in stack])
    steady = np.quantile(maps, 0.05, axis=0) >= STILL_SSIM
    whole = cv2.copyMakeBorder(
        steady.astype(np.uint8) * 255, border, border, border, border, cv2.BORDER_REPLICATE
    )
    opened = cv2.morphologyEx(whole, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    mask = np.where(compared, opened, 0).astype(np.uint8)
    if (mask > 0).mean() < LEAST_STILL:
        # Nothing stands still: the whole picture then, and the limits will be wide.
        return Still(gray, compared.astype(np.uint8) * 255, aligned=False)
    return Still(gray, mask, aligned=Aligner(gray, mask).usable)


@dataclass(frozen=True)
class Worst:
    """A frame that lies further out than others: its place in the series, reduced picture, score.

    Attributes:
        index: of the measured frame, from 0.
        gray: (h, w) uint8.
        score: the largest of its scores; 1 and more would have been rejected.
        measure: whose score that is.
    """

    index: int
    gray: Image
    score: float
    measure: str


class Student:
    """Measures good frames against a settled view, and remembers what limits are learnt from."""

    def __init__(self, still: Still) -> None:
        self.still = still
        self._standard = Standard(still)
        self._series: dict[str, list[float]] = {}
        self._statistics: list[tuple[float, ...]] = []
        self._cells: list[npt.NDArray[np.float32]] = []
        self._keep_every = 1
        self._extremes: dict[str, list[_Entry]] = {}

    @property
    def frames(self) -> int:
        """Measured so far."""
        return len(self._statistics)

    def add(self, view: View) -> None:
        """Measure the next frame."""
        index = self.frames
        measured = self._standard.measure(view)
        statistics = measure(view.gray, view.colour)
        self._statistics.append(astuple(statistics))
        for name, value in measured.values.items():
            series = self._series.setdefault(name, [])
            series += [np.nan] * (index - len(series)) + [value]
            self._note(name, value, index, view.gray)
        self._keep(index, measured)

    def _note(self, name: str, value: float, index: int, gray: Image) -> None:
        """Keep the pictures of the most extreme values on each side that can be a fault."""
        for side, wanted in (("low", KINDS[name].low), ("high", KINDS[name].high)):
            if wanted is not None:
                extreme = value if side == "high" else -value
                kept = self._extremes.setdefault(f"{name}.{side}", [])
                _keep_extreme(kept, (extreme, index, gray))

    def _keep(self, index: int, measured: Measured) -> None:
        if measured.cells is None or index % self._keep_every:
            return
        self._cells.append(measured.cells)
        if len(self._cells) >= _CELLS_KEPT:
            self._cells = self._cells[::2]
            self._keep_every *= 2

    def learn(self, *, in_a_row: bool) -> Learnt:
        """Limits from what was measured.

        Args:
            in_a_row: whether the frames came one after another from a camera; else nothing is
                learnt of what only such frames can tell (`BETWEEN_FRAMES`).

        Raises:
            SourceError: too few frames.
        """
        if self.frames < LEAST_FRAMES:
            raise SourceError(
                f"{self.frames} frames are too few to learn from, {LEAST_FRAMES} are needed;"
                " take longer"
            )
        cells = learn_cells(np.stack(self._cells))
        # A good frame has lost nothing; what single cells do by chance is in their own limits.
        self._series["lost"] = [
            self._standard.cells.largest(cells.lost(kept, self._standard.cells.used)).share
            for kept in self._cells
        ]
        names = [name for name in self._series if in_a_row or name not in BETWEEN_FRAMES]
        ranges = {name: learn_range(name, self._known(name)) for name in names if self._known(name)}
        return Learnt(self.still, ranges, cells, self.frames, self._times())

    def _known(self, name: str) -> list[float]:
        return [value for value in self._series[name] if value == value]

    def _times(self) -> dict[str, float]:
        columns = np.asarray(self._statistics, np.float64).T
        times = {
            name: autocorrelation_time(column)
            for name, column in zip(Statistics.__dataclass_fields__, columns, strict=True)
        }
        times["ssim"] = autocorrelation_time(self._series["ssim"])
        return {name: round(time, 2) for name, time in times.items()}

    def scores(self, learnt: Learnt) -> dict[str, npt.NDArray[np.float64]]:
        """Measure -> the score of each frame that had it, by the learnt limits."""
        return {
            name: np.array([Scorer(name, limits).score(value) for value in self._known(name)])
            for name, limits in learnt.ranges.items()
        }

    def rejected(self, learnt: Learnt) -> int:
        """How many frames the learnt limits would have rejected, by any check."""
        return int((self._furthest(learnt)[0] >= 1).sum())

    def _furthest(self, learnt: Learnt) -> tuple[npt.NDArray[np.float64], list[str]]:
        """Each frame's largest score, and whose it is."""
        scores, names = np.zeros(self.frames), [""] * self.frames
        for name, limits in learnt.ranges.items():
            scorer = Scorer(name, limits)
            for place, value in zip(self._places(name), self._series[name], strict=True):
                if value == value and (score := scorer.score(value)) > scores[place]:
                    scores[place], names[place] = score, name
        return scores, names

    def _places(self, name: str) -> range:
        """Of which frames the series of a measure is."""
        return range(0, self.frames, self._keep_every if name == "lost" else 1)[
            : len(self._series[name])
        ]

    def worst(self, learnt: Learnt, most: int) -> list[Worst]:
        """The frames that lie furthest out by the learnt limits, the worst first.

        Of neighbouring frames, which look alike, only the worst.
        """
        scores, names = self._furthest(learnt)
        pictures = {index: gray for kept in self._extremes.values() for _, index, gray in kept}
        found: list[Worst] = []
        for index in sorted(pictures, key=lambda index: -scores[index]):
            if all(abs(index - one.index) >= _APART for one in found):
                found.append(Worst(index, pictures[index], float(scores[index]), names[index]))
        return found[:most]


def _keep_extreme(kept: list[_Entry], entry: _Entry) -> None:
    """Hold the largest entries; of neighbouring frames, which look alike, only the largest."""
    near = [one for one in kept if abs(one[1] - entry[1]) < _APART]
    rival = min(near or kept, key=lambda one: one[0]) if near or len(kept) >= _SHOWN else None
    if rival is not None:
        if entry[0] <= rival[0]:
            return
        kept.remove(rival)
    kept.append(entry)
