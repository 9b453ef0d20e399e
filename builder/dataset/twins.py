"""Images that are the same, or nearly: rules over hashes and thumbnails."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from builder.dataset.scan import Measured

NEAR_LEVELS = 3
"""Two images are near when no cell of their 32 x 32 thumbnails differs by more grey levels. From a
fixed camera, that is the same scene up to the sensor's noise; a part that moved is further away."""

_BLOCK = 512


def copies(images: Iterable[Measured]) -> list[list[str]]:
    """Groups of files with the same bytes or the same grey pixels, first by name first."""
    groups: dict[bytes, list[str]] = {}
    for image in images:
        groups.setdefault(image.pixels, []).append(image.name)
    return [group for group in groups.values() if len(group) > 1]


def near_copies(images: Sequence[Measured], levels: int = NEAR_LEVELS) -> list[list[str]]:
    """Groups of different images that show nearly the same.

    Each image joins the first earlier image that it is near to, or founds a group: no chain of
    small steps can join what is far apart.
    """
    singles = list({image.pixels: image for image in reversed(images)}.values())[::-1]
    if not singles:
        return []
    thumbs = np.stack([_flat(image) for image in singles])
    groups: dict[int, list[int]] = {}
    for start in range(0, len(thumbs), _BLOCK):
        block = thumbs[start : start + _BLOCK]
        founders = list(groups)
        leaders = np.concatenate([thumbs[founders], block])
        numbers = [*founders, *range(start, start + len(block))]
        close = _close(block, leaders, levels)
        for row in range(len(block)):
            number = start + row
            hits = (numbers[column] for column in np.flatnonzero(close[row]))
            leader = next((hit for hit in hits if hit in groups and hit < number), number)
            groups.setdefault(leader, []).append(number)
    return [[singles[i].name for i in group] for group in groups.values() if len(group) > 1]


def _flat(image: Measured) -> npt.NDArray[np.int16]:
    assert image.thumb is not None
    return image.thumb.reshape(-1).astype(np.int16)


def _close(
    rows: npt.NDArray[np.int16], columns: npt.NDArray[np.int16], levels: int
) -> npt.NDArray[np.bool_]:
    """Whether the largest difference of each pair is at most ``levels``.

    The squared distance, one matrix product, rules nearly all pairs out; the rest is looked at.
    """
    a, b = (part.astype(np.float32) - 128 for part in (rows, columns))
    squares = (a * a).sum(1)[:, None] + (b * b).sum(1)[None] - 2 * (a @ b.T)
    close: npt.NDArray[np.bool_] = squares <= levels**2 * rows.shape[1] + 1
    for row, hits in enumerate(close):
        found = np.flatnonzero(hits)
        worst = np.abs(columns[found] - rows[row]).max(1, initial=0)
        hits[found] = worst <= levels
    return close
