"""Textures cut from the photographs that lie inside the scikit-image wheel.

Each photograph is cut into a 4x4 board of tiles and every tile belongs to one split, so that no
pixel of a training texture is seen again in validation, test or the clips.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

import cv2
import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]

SURFACES = ("brick", "gravel", "grass", "moon")
SPLITS = ("train", "val", "test", "clip", "machine")

# Spread over the board, because neighbouring tiles of a photograph look alike.
_BOARD = (
    ("train", "train", "val", "train"),
    ("clip", "train", "train", "test"),
    ("train", "test", "machine", "train"),
    ("val", "train", "train", "clip"),
)


@cache
def photograph(name: str) -> NDArray[np.uint8]:
    """The grey photograph ``name``, uint8 of shape (height, width), read from the wheel itself."""
    # Not skimage.data.<name>(): that would be free to download.
    content = resources.files("skimage.data").joinpath(f"{name}.png").read_bytes()
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise OSError(
            f"scikit-image's photograph {name}.png cannot be read; reinstall scikit-image"
        )
    return np.asarray(picture, np.uint8)


def tiles(split: str) -> list[tuple[int, int]]:
    """The (row, column) board positions that belong to ``split``."""
    return [(r, c) for r, row in enumerate(_BOARD) for c, owner in enumerate(row) if owner == split]


def surface(rng: np.random.Generator, split: str, size_px: int) -> Float:
    """A random square texture of ``split``: float32 (size_px, size_px), mean 0, deviation 1."""
    photo = photograph(SURFACES[rng.integers(len(SURFACES))])
    row, column = tiles(split)[rng.integers(len(tiles(split)))]
    height, width = photo.shape[0] // 4, photo.shape[1] // 4
    tile = photo[row * height : (row + 1) * height, column * width : (column + 1) * width]
    side = int(min(height, width) * rng.uniform(0.75, 1.0))
    top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
    crop = np.rot90(tile[top : top + side, left : left + side], int(rng.integers(4)))
    crop = crop[:, ::-1] if rng.random() < 0.5 else crop
    grain_px = int(size_px * rng.uniform(0.42, 0.75))
    fine = cv2.resize(
        np.ascontiguousarray(crop), (grain_px, grain_px), interpolation=cv2.INTER_AREA
    )
    return mirrored(normalised(fine.astype(np.float32)), (size_px, size_px))


def mirrored(tile: Float, shape: tuple[int, int]) -> Float:
    """``tile`` repeated without seams to fill ``shape`` (every second copy is mirrored)."""
    double = np.vstack(
        [np.hstack([tile, tile[:, ::-1]]), np.hstack([tile[::-1], tile[::-1, ::-1]])]
    )
    rows, columns = (-(-want // have) for want, have in zip(shape, double.shape, strict=True))
    return np.asarray(np.tile(double, (rows, columns))[: shape[0], : shape[1]], np.float32)


def normalised(picture: Float) -> Float:
    """``picture`` with mean 0 and deviation 1, its slow shading removed and extremes cut at 3."""
    flat = picture - cv2.GaussianBlur(picture, (0, 0), picture.shape[0] / 6)
    return np.asarray(np.clip(flat / (flat.std() + 1e-6), -3, 3), np.float32)
