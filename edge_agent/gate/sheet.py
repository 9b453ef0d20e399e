"""A contact sheet of a commissioning: the reference, what stands still, and the worst frames."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from edge_agent.captures.masks import Mask, covered
from edge_agent.detection.preprocess import Image
from edge_agent.gate.learn import Worst
from edge_agent.gate.measures import KINDS
from edge_agent.gate.standard import Still

COLUMNS, MOST = 4, 18
_CELL_PX, _CAPTION_PX, _PAD_PX, _HEAD_PX = 280, 24, 6, 30
_BACK, _TEXT = (250, 250, 250), (40, 40, 40)
_GOOD, _NEAR, _BAD = (96, 160, 64), (32, 150, 235), (48, 48, 208)
_NEAR_SCORE = 0.7
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw(title: str, still: Still, worst: Sequence[Worst], mask: Mask | None = None) -> Image:
    """The sheet as (H, W, 3) BGR uint8.

    Args:
        title: one line.
        still: the reference view; what moves is tinted on its second picture.
        worst: frames to show, each with a frame around it: red would have been rejected, orange
            came near.
        mask: what nobody is shown.
    """
    cells = [
        _cell(covered(_coloured(still.gray), mask), "reference (median)", _TEXT),
        _cell(covered(_tinted(still), mask), "red moves: not compared", _TEXT),
    ]
    for one in worst[:MOST]:
        colour = _BAD if one.score >= 1 else _NEAR if one.score >= _NEAR_SCORE else _GOOD
        fate = "rejected" if one.score >= 1 else "passes"
        caption = f"{one.index}: {KINDS[one.measure].check} {one.score:.2f} {fate}"
        cells.append(_cell(covered(_coloured(one.gray), mask), caption, colour))
    height, width = cells[0].shape[:2]
    rows = -(-len(cells) // COLUMNS)
    sheet = np.full((_HEAD_PX + rows * height, COLUMNS * width, 3), _BACK, np.uint8)
    cv2.putText(sheet, title, (_PAD_PX, 20), _FONT, 0.5, _TEXT, 1, cv2.LINE_AA)
    for index, cell in enumerate(cells):
        top, left = _HEAD_PX + index // COLUMNS * height, index % COLUMNS * width
        sheet[top : top + height, left : left + width] = cell
    return sheet


def _coloured(gray: Image) -> Image:
    return np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR), np.uint8)


def _tinted(still: Still) -> Image:
    picture = _coloured(still.gray).astype(np.float32)
    moving = still.mask == 0
    picture[moving] = 0.55 * picture[moving] + 0.45 * np.array(_BAD, np.float32)
    return picture.astype(np.uint8)


def _cell(picture: Image, caption: str, colour: tuple[int, int, int]) -> Image:
    inner = _CELL_PX - 2 * _PAD_PX
    height = max(1, round(picture.shape[0] * inner / picture.shape[1]))
    shown = cv2.resize(picture, (inner, height), interpolation=cv2.INTER_CUBIC)
    cell = np.full((height + 2 * _PAD_PX + _CAPTION_PX, _CELL_PX, 3), _BACK, np.uint8)
    cell[_PAD_PX : _PAD_PX + height, _PAD_PX : _PAD_PX + inner] = shown
    corner = (_PAD_PX - 2, _PAD_PX - 2)
    cv2.rectangle(cell, corner, (_PAD_PX + inner + 1, _PAD_PX + height + 1), colour, 2)
    at = (_PAD_PX, _PAD_PX + height + 18)
    cv2.putText(cell, caption, at, _FONT, 0.42, colour, 1, cv2.LINE_AA)
    return cell
