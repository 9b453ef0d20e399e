"""Pictures that are the same bits everywhere: whole-number arithmetic, no random generator.

The values of the authors' own programs in `authors.py` were made from these very pictures.
"""

from __future__ import annotations

import numpy as np

SQUARE = (256, 256)
WIDE = (192, 320)
ODD = (213, 187)
LARGE = (640, 648)


def hashed(shape: tuple[int, ...], salt: int) -> np.ndarray:
    """Numbers 0..255 that look like noise, one per pixel."""
    number = np.arange(np.prod(shape), dtype=np.uint64) + np.uint64(salt * 1_000_003)
    number = (number * np.uint64(2_654_435_761)) & np.uint64(0xFFFFFFFF)
    number ^= number >> np.uint64(15)
    number = (number * np.uint64(2_246_822_519)) & np.uint64(0xFFFFFFFF)
    number ^= number >> np.uint64(13)
    return ((number >> np.uint64(8)) & np.uint64(255)).astype(np.int64).reshape(shape)


def scene(shape: tuple[int, int] = SQUARE) -> np.ndarray:
    """(H, W, 3) BGR uint8: a ramp, discs, stripes, a checkerboard, texture; all in colour."""
    rows, columns = shape
    y, x = np.indices(shape)
    picture = np.stack([60 + 90 * x // columns, 90 + 60 * y // rows, 150 - 50 * x // columns], 2)
    for index, (cy, cx, radius) in enumerate([(60, 70, 34), (130, 190, 45), (150, 60, 20)]):
        inside = (y - cy) ** 2 + (x - cx) ** 2 < radius**2
        picture[inside] = [(40, 60, 210), (200, 170, 40), (70, 200, 90)][index]
    stripes = (y > 20) & (y < 90) & (x > columns - 110) & (x < columns - 20)
    picture[stripes & ((x + y) // 6 % 2 == 0)] = (20, 25, 30)
    board = (y > rows - 70) & (y < rows - 14) & (x > 90) & (x < 170)
    picture[board & ((x // 4 + y // 4) % 2 == 0)] = (235, 235, 225)
    texture = (y > 100) & (x > columns - 60)
    picture[texture] += hashed((*shape, 3), 5)[texture] // 3 - 40
    picture += hashed((*shape, 3), 1) // 32
    return np.clip(picture, 0, 255).astype(np.uint8)


def blurred(picture: np.ndarray, radius: int = 2) -> np.ndarray:
    """The mean over a window of ``2 radius + 1`` pixels, edges repeated, rounded down."""
    side = 2 * radius + 1
    padded = np.pad(picture.astype(np.int64), [(radius, radius), (radius, radius), (0, 0)], "edge")
    rows, columns = picture.shape[:2]
    total = sum(
        padded[dy : dy + rows, dx : dx + columns] for dy in range(side) for dx in range(side)
    )
    return (total // side**2).astype(np.uint8)


def noisy(picture: np.ndarray, strength: int = 40) -> np.ndarray:
    """Uniform noise of ``strength`` levels from top to bottom."""
    noise = hashed(picture.shape, 77) * strength // 256 - strength // 2
    return np.clip(picture.astype(np.int64) + noise, 0, 255).astype(np.uint8)


def darker(picture: np.ndarray) -> np.ndarray:
    """Three fifths of the light."""
    return (picture.astype(np.int64) * 3 // 5).astype(np.uint8)


def blocky(picture: np.ndarray, side: int = 8) -> np.ndarray:
    """Each block of ``side`` pixels gets its mean: what strong compression leaves."""
    rows, columns = picture.shape[:2]
    blocks = picture.astype(np.int64).reshape(rows // side, side, columns // side, side, 3)
    mean = blocks.sum((1, 3)) // side**2
    return np.repeat(np.repeat(mean, side, 0), side, 1).astype(np.uint8)


def tinted(picture: np.ndarray) -> np.ndarray:
    """The white balance is off: more blue, less red."""
    picture = picture.astype(np.int64)
    picture[:, :, 0] += 25
    picture[:, :, 2] = picture[:, :, 2] * 7 // 8
    return np.clip(picture, 0, 255).astype(np.uint8)


def distorted(shape: tuple[int, int] = SQUARE) -> dict[str, np.ndarray]:
    """The scene, spoilt in five ways; in two where the sides are not whole blocks."""
    picture = scene(shape)
    found = {"blur": blurred(picture), "noise": noisy(picture)}
    if shape[0] % 8 or shape[1] % 8:
        return found
    return found | {"dark": darker(picture), "blocks": blocky(picture), "tint": tinted(picture)}
