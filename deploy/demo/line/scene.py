"""The line: parts at a steady pitch on a belt that moves, seen between the guards."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from . import machine
from .parts import Part, make_part
from .photos import SPLITS
from .shapes import PATCH_PX

Image = NDArray[np.uint8]
Truth = tuple[float, float, float, float, int]
Comes = Callable[[Part], bool]

PITCH_PX = 176
_MIN_VISIBLE = 0.5  # a defect counts once half of it is out from under the guard
_MIN_SIDE_PX = 10.0


@lru_cache(maxsize=2)
def _still(running: bool) -> tuple[Image, NDArray[np.float32], NDArray[np.float32]]:
    structure = machine.structure()
    structure = machine.running_lights(structure) if running else structure
    return structure, machine.belt(), machine.opening_shade()


class Line:
    """An endless run of parts; part ``k`` is the same however often one asks for it.

    Args:
        seed: names the run; another seed gives other parts.
        split: which tiles of the photographs the parts' surfaces come from.
        empty: whether to leave the belt without parts, as at commissioning.
        running: whether the running lights are lit; pictures to learn from are taken step by step.
        comes: which parts come down the line; others are taken out before. None is all.
    """

    def __init__(
        self,
        seed: int,
        split: str,
        *,
        empty: bool = False,
        running: bool = False,
        comes: Comes | None = None,
    ) -> None:
        self._key = (seed, SPLITS.index(split))
        self._split = split
        self._empty = empty
        self._running = running
        self._comes = comes
        self._part = lru_cache(maxsize=8)(self._make)

    def _make(self, index: int) -> tuple[Part, int, int]:
        """Part ``index`` with the belt position of its patch and its row in the opening."""
        rng = np.random.default_rng((*self._key, index))
        part = make_part(rng, self._split)
        while self._comes is not None and not self._comes(part):
            part = make_part(rng, self._split)
        rows = machine.OPENING[3] - machine.OPENING[1]
        middle = (rows - PATCH_PX) / 2
        row = round(middle + rng.uniform(-1, 1) * (middle - 2))
        return part, index * PITCH_PX + int(rng.integers(-8, 9)), row

    def look(self, position_px: int) -> tuple[Image, list[Truth]]:
        """The canvas and the defects' boxes when the belt has moved ``position_px``.

        Returns:
            uint8 BGR of shape ``machine.CANVAS``, and boxes (x0, y0, x1, y1, class) in the pixels
            of the camera's undisturbed view, clipped to the opening.
        """
        structure, belt, shade = _still(self._running)
        x0, y0, x1, y1 = machine.OPENING
        columns = (np.arange(x1 - x0) - position_px) % machine.BELT_PX
        window = belt[:, columns]
        truth: list[Truth] = []
        for index in self._visible(position_px, x1 - x0):
            part, at, row = self._part(index)
            truth += _lay(window, part, position_px - at - PATCH_PX, row)
        canvas = structure.copy()
        canvas[y0:y1, x0:x1] = np.clip(window * shade, 0, 255)
        return canvas, truth

    def _visible(self, position_px: int, width: int) -> range:
        """The parts that may be in the opening; they enter at its left."""
        if self._empty:
            return range(0)
        slack = PATCH_PX + 8
        return range(
            max(0, (position_px - width - slack) // PITCH_PX), (position_px + 8) // PITCH_PX + 1
        )


def _lay(window: NDArray[np.float32], part: Part, left: int, top: int) -> list[Truth]:
    """Lay ``part`` on the belt with its patch's corner at (left, top); returns its boxes."""
    width = window.shape[1]
    from_x, to_x = max(0, left), min(width, left + PATCH_PX)
    if from_x >= to_x:
        return []
    cut = slice(from_x - left, to_x - left)
    under = window[top : top + PATCH_PX, from_x:to_x]
    under *= part.keep[:, cut]
    under += part.add[:, cut]
    boxes = []
    for (bx0, by0, bx1, by1), kind in part.defects:
        seen = (max(bx0 + left, 0.0), min(bx1 + left, float(width)))
        if seen[1] - seen[0] < max(_MIN_SIDE_PX, _MIN_VISIBLE * (bx1 - bx0)):
            continue
        dx, dy = machine.OPENING[0] - machine.MARGIN, machine.OPENING[1] - machine.MARGIN + top
        boxes.append(
            (float(seen[0] + dx), float(by0 + dy), float(seen[1] + dx), float(by1 + dy), kind)
        )
    return boxes
