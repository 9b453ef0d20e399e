"""Three kinds of defect, drawn into a part before it is lit and coloured.

A part is a mask (where material is), a height map (what the light sees) and a tint (how bright the
surface is). A defect changes these in place and returns its box, so every defect is lit by the same
lamp as the part that carries it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Box = tuple[float, float, float, float]

CLASSES = ("scratch", "dent", "broken_edge")


@dataclass
class Blank:
    """A part in the making; all arrays float32 of one square shape, height in pixels."""

    mask: Float
    height: Float
    tint: Float


def _box(area: NDArray[np.bool_], pad_px: float = 2.0) -> Box:
    """The smallest box (x0, y0, x1, y1) around ``area``, grown by ``pad_px``."""
    ys, xs = np.nonzero(area)
    return (xs.min() - pad_px, ys.min() - pad_px, xs.max() + 1 + pad_px, ys.max() + 1 + pad_px)


def _inside(blank: Blank, rng: np.random.Generator, margin_px: float) -> tuple[float, float] | None:
    """A random point at least ``margin_px`` inside the material, or None when there is none."""
    depth = cv2.distanceTransform((blank.mask > 0.5).astype(np.uint8), cv2.DIST_L2, 3)
    ys, xs = np.nonzero(depth > margin_px)
    if not len(xs):
        return None
    pick = rng.integers(len(xs))
    return float(xs[pick]), float(ys[pick])


def scratch(blank: Blank, rng: np.random.Generator) -> Box | None:
    """A thin bent groove with bright flanks, 36 to 80 px long."""
    start = _inside(blank, rng, 10)
    if start is None:
        return None
    length, bend = rng.uniform(40, 80), rng.uniform(-0.9, 0.9)
    turns = rng.uniform(0, 2 * np.pi) + np.linspace(-bend, bend, 24)
    steps = np.stack([np.cos(turns), np.sin(turns)], 1) * length / 24
    path = np.asarray(start) + np.cumsum(steps, 0) - steps.sum(0) / 2
    groove = np.zeros((blank.mask.shape[0] * 4, blank.mask.shape[1] * 4), np.uint8)
    width = round(rng.uniform(2.2, 4.0) * 4)
    cv2.polylines(groove, [np.round(path * 4).astype(np.int32)], False, 255, width, cv2.LINE_AA)
    line = cv2.resize(groove, blank.mask.shape[::-1], interpolation=cv2.INTER_AREA) / np.float32(
        255
    )
    line = line * (blank.mask > 0.5)
    if (line > 0.3).sum() < 45:
        return None
    blank.height -= 2.0 * line
    blank.tint += rng.choice([-0.5, 0.6]) * line
    return _box(line > 0.3)


def dent(blank: Blank, rng: np.random.Generator) -> Box | None:
    """A smooth elliptic hollow, 26 to 54 px across."""
    long, short = rng.uniform(14, 27), rng.uniform(0.65, 1.0)
    centre = _inside(blank, rng, long * 0.8)
    if centre is None:
        return None
    ys, xs = np.indices(blank.mask.shape, np.float32)
    turn = rng.uniform(0, np.pi)
    along = (xs - centre[0]) * np.cos(turn) + (ys - centre[1]) * np.sin(turn)
    across = (ys - centre[1]) * np.cos(turn) - (xs - centre[0]) * np.sin(turn)
    reach = np.sqrt((along / long) ** 2 + (across / (long * short)) ** 2)
    hollow = np.clip(1 - reach**2, 0, None) ** 1.2
    blank.height -= (rng.uniform(0.34, 0.5) * long * hollow).astype(np.float32)
    blank.tint -= (0.12 * hollow).astype(np.float32)
    return _box((reach < 0.98) & (blank.mask > 0.5))


def broken_edge(blank: Blank, rng: np.random.Generator) -> Box | None:
    """A ragged bite out of the outer edge, 28 to 66 px wide, with a bright fracture face."""
    middle = blank.mask.shape[0] / 2
    turn, bite = rng.uniform(0, 2 * np.pi), rng.uniform(15, 27)
    ray = np.arange(middle)
    xs, ys = middle + ray * np.cos(turn), middle + ray * np.sin(turn)
    solid = np.nonzero(blank.mask[ys.astype(int), xs.astype(int)] > 0.5)[0]
    if not len(solid):
        return None
    edge = float(solid.max())
    centre = np.array([middle + edge * np.cos(turn), middle + edge * np.sin(turn)])
    around = np.linspace(0, 2 * np.pi, 22, endpoint=False)
    radius = bite * rng.uniform(0.72, 1.12, 22)
    ragged = centre + radius[:, None] * np.stack([np.cos(around), np.sin(around)], 1)
    gone = np.zeros((blank.mask.shape[0] * 3, blank.mask.shape[1] * 3), np.uint8)
    cv2.fillPoly(gone, [np.round(ragged * 3).astype(np.int32)], 255)
    bitten = cv2.resize(gone, blank.mask.shape[::-1], interpolation=cv2.INTER_AREA) / np.float32(
        255
    )
    lost = bitten * blank.mask
    if (lost > 0.5).sum() < 220:
        return None
    face = np.clip(cv2.GaussianBlur(bitten, (0, 0), 3.0) * 2.2, 0, 1) * blank.mask
    grain = rng.uniform(0.3, 1.0, blank.mask.shape).astype(np.float32)
    blank.tint += 0.5 * face * cv2.GaussianBlur(grain, (0, 0), 1.0)
    blank.height -= 3.0 * face
    blank.mask *= 1 - bitten
    return _box((lost > 0.5) | (face > 0.55), 1.0)


DEFECTS: tuple[Callable[[Blank, np.random.Generator], Box | None], ...] = (
    scratch,
    dent,
    broken_edge,
)
