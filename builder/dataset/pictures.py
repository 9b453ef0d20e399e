"""The histogram of the scores and the contact sheet of the worst, drawn with OpenCV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from builder.dataset.policy import Spread, keeps
from builder.images import load
from edge_agent.detection.preprocess import Image

SHEET_IMAGES = 24
_COLUMNS = 6
_CELL = (220, 190)  # width, height, of which the last _CAPTION rows are text
_CAPTION = 34
_WHITE, _INK, _PALE = (255, 255, 255), (40, 40, 40), (225, 225, 225)
_KEPT, _DROPPED, _MEAN = (150, 110, 60), (60, 80, 215), (40, 150, 60)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_BINS = 60


def histogram(scores: Sequence[float], threshold: float, spread: Spread) -> Image:
    """The distribution of the scores: what is kept, what is not, mean and threshold.

    Returns:
        (540, 960, 3) BGR uint8.
    """
    sheet = np.full((540, 960, 3), _WHITE, np.uint8)
    left, right, top, bottom = 70, 930, 70, 480
    low, high = _range(spread.least, spread.most)
    counts, edges = np.histogram(np.asarray(scores), bins=_BINS, range=(low, high))
    most = max(1, int(counts.max()))

    def column(value: float) -> int:
        return left + round((value - low) / (high - low) * (right - left))

    def row(count: float) -> int:
        return bottom - round(count / most * (bottom - top))

    columns = [(column(value), f"{value:.3f}") for value in np.linspace(low, high, 6).tolist()]
    rows = [(row(value), f"{value:.0f}") for value in np.linspace(0, most, 5).tolist()]
    _axes(sheet, (left, right, bottom), columns, rows)
    for count, start, end in zip(counts, edges, edges[1:], strict=False):
        if count:
            colour = _KEPT if keeps(float(start + end) / 2, threshold) else _DROPPED
            cv2.rectangle(sheet, (column(start), row(count)), (column(end) - 2, bottom), colour, -1)
    for value, colour in ((spread.mean, _MEAN), (threshold, _DROPPED)):
        if low <= value <= high:
            cv2.line(sheet, (column(value), top - 8), (column(value), bottom), colour, 2)
    _write(sheet, f"SSIM of {spread.count} images against the reference", (left, 28), 0.7)
    facts = f"mean {spread.mean:.3f} (green), spread {spread.deviation:.3f}"
    _write(sheet, f"{facts}; red: left out, below {threshold:.3f}", (left, 52), 0.5)
    return sheet


def _range(least: float, most: float) -> tuple[float, float]:
    """Ends of the axis, also when all scores are equal."""
    margin = max(0.02 * (most - least), 0.005)
    return least - margin, most + margin


def _axes(
    sheet: Image,
    box: tuple[int, int, int],
    columns: Sequence[tuple[int, str]],
    rows: Sequence[tuple[int, str]],
) -> None:
    left, right, bottom = box
    for y, text in rows:
        cv2.line(sheet, (left, y), (right, y), _PALE, 1)
        _write(sheet, text, (left - 8 - 9 * len(text), y + 5), 0.45)
    for x, text in columns:
        cv2.line(sheet, (x, bottom), (x, bottom + 6), _INK, 1)
        _write(sheet, text, (x - 20, bottom + 24), 0.45)
    cv2.line(sheet, (left, bottom), (right, bottom), _INK, 1)


def contact_sheet(root: Path, reference: Image, worst: Sequence[tuple[str, float]]) -> Image:
    """The reference and the images with the lowest scores, each with name and score.

    Args:
        root: the folder.
        reference: (H, W, 3) BGR uint8.
        worst: (name, score), lowest first; at most `SHEET_IMAGES` are shown.
    """
    cells = [_cell(reference, "reference", "")]
    for name, score in worst[: SHEET_IMAGES - 1]:
        picture = load(root / name)
        if picture is not None:
            cells.append(_cell(picture, f"SSIM {score:.3f}", name))
    blank = np.full_like(cells[0], 255)
    cells += [blank] * (-len(cells) % _COLUMNS)
    rows = [np.hstack(cells[at : at + _COLUMNS]) for at in range(0, len(cells), _COLUMNS)]
    return np.vstack(rows)


def _cell(picture: Image, title: str, name: str) -> Image:
    width, height = _CELL
    room = (width - 8, height - _CAPTION - 8)
    cell = np.full((height, width, 3), _WHITE, np.uint8)
    ratio = min(room[0] / picture.shape[1], room[1] / picture.shape[0])
    size = (max(1, int(picture.shape[1] * ratio)), max(1, int(picture.shape[0] * ratio)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    x, y = 4 + (room[0] - size[0]) // 2, 4 + (room[1] - size[1]) // 2
    cell[y : y + size[1], x : x + size[0]] = small
    _write(cell, title, (6, height - 20), 0.45)
    _write(cell, name if len(name) <= 30 else f"...{name[-27:]}", (6, height - 5), 0.38)
    return cell


def _write(sheet: Image, text: str, place: tuple[int, int], size: float) -> None:
    plain = text.encode("ascii", "replace").decode()
    cv2.putText(sheet, plain, place, _FONT, size, _INK, 1, cv2.LINE_AA)
