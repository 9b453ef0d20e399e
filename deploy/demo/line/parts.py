"""One part: outline, defects, light, colour and shadow, ready to be laid on the belt."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .defects import DEFECTS, Blank, Box
from .photos import surface
from .shapes import PATCH_PX, outline

Float = NDArray[np.float32]

# B, G, R of the materials that run on this line, lit straight on.
MATERIALS: tuple[tuple[float, float, float], ...] = (
    (146, 146, 142),  # machined steel
    (112, 112, 108),  # rolled steel
    (74, 80, 84),  # cast iron
    (88, 122, 142),  # brass
    (80, 96, 130),  # copper
    (122, 102, 80),  # blue anodised
    (138, 156, 160),  # zinc, yellow passivated
    (88, 108, 90),  # green lacquer
)
LIGHT = (-0.62, -0.78)  # towards the lamp, x and y
_BEVEL_PX = 5.0
_MOTION_PX = 3  # how far the belt moves while the shutter is open


@dataclass(frozen=True)
class Part:
    """What the belt under a part becomes: ``belt * keep + add``; boxes in patch pixels."""

    keep: Float
    add: Float
    defects: tuple[tuple[Box, int], ...]


def _apart(box: Box, others: list[tuple[Box, int]]) -> bool:
    """Whether ``box`` overlaps none of ``others``: two defects on one spot have no clear label."""
    return all(
        box[0] >= o[2] or box[2] <= o[0] or box[1] >= o[3] or box[3] <= o[1] for o, _ in others
    )


def _damage(blank: Blank, rng: np.random.Generator) -> list[tuple[Box, int]]:
    """Give the blank none (35 %), one (45 %) or two (20 %) defects."""
    wanted = int(rng.choice(3, p=(0.35, 0.45, 0.20)))
    found: list[tuple[Box, int]] = []
    for _ in range(wanted * 4):
        if len(found) == wanted:
            break
        kind = int(rng.integers(len(DEFECTS)))
        trial = Blank(blank.mask.copy(), blank.height.copy(), blank.tint.copy())
        box = DEFECTS[kind](trial, rng)
        if box is not None and _apart(box, found):
            blank.mask, blank.height, blank.tint = trial.mask, trial.height, trial.tint
            found.append((box, kind))
    return found


def _lit(blank: Blank, texture: Float) -> Float:
    """How bright each pixel is (1 = flat and plain): bevel, relief and tint under the lamp."""
    depth = cv2.distanceTransform((blank.mask > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    height = blank.height + np.minimum(depth, _BEVEL_PX) * 0.8 + 0.14 * texture
    height = cv2.GaussianBlur(height.astype(np.float32), (0, 0), 0.9)
    slope = cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=1 / 8) * LIGHT[0]
    slope += cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=1 / 8) * LIGHT[1]
    # A height that rises towards the lamp is turned away from it.
    return np.asarray(np.clip(1 - 0.75 * slope + blank.tint, 0.25, 1.75), np.float32)


def _shadow(mask: Float) -> Float:
    """The soft shadow that falls away from the lamp."""
    shift = np.array([[1, 0, -LIGHT[0] * 7], [0, 1, -LIGHT[1] * 7]], np.float32)
    return np.asarray(cv2.GaussianBlur(cv2.warpAffine(mask, shift, mask.shape[::-1]), (0, 0), 4.0))


def make_part(rng: np.random.Generator, split: str) -> Part:
    """A random part of ``split`` with 0 to 2 defects."""
    mask = outline(rng)
    flat = np.zeros_like(mask)
    blank = Blank(mask, flat.copy(), flat.copy())
    defects = _damage(blank, rng)
    texture = surface(rng, split, PATCH_PX)
    plain = np.array(MATERIALS[rng.integers(len(MATERIALS))], np.float32)
    batch = plain * np.float32(rng.uniform(0.88, 1.12)) * rng.uniform(0.96, 1.04, 3)
    bright = _lit(blank, texture) * (1 + np.float32(rng.uniform(0.05, 0.12)) * texture)
    picture = np.clip(bright[..., None] * batch.astype(np.float32), 0, 255)
    keep = (1 - blank.mask) * (1 - 0.6 * _shadow(blank.mask))
    add = picture * blank.mask[..., None]
    return Part(_smeared(keep)[..., None], _smeared(add), tuple(defects))


def _smeared(moving: Float) -> Float:
    """The motion blur of a part on its way from left to right."""
    return np.asarray(cv2.blur(moving, (_MOTION_PX, 1)), np.float32)
