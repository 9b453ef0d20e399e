"""Outlines of the parts on the belt, as anti-aliased masks."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]

PATCH_PX = 184  # a part and its shadow fit in a square of this side
_SCALE = 3  # drawn larger, then averaged down: smooth edges


def _canvas() -> NDArray[np.uint8]:
    return np.zeros((PATCH_PX * _SCALE, PATCH_PX * _SCALE), np.uint8)


def _circle(mask: NDArray[np.uint8], x: float, y: float, radius: float, value: int) -> None:
    """A circle with centre relative to the middle of the patch, all in patch pixels."""
    middle = PATCH_PX / 2
    centre = (round((middle + x) * _SCALE), round((middle + y) * _SCALE))
    cv2.circle(mask, centre, round(radius * _SCALE), value, -1)


def _polygon(mask: NDArray[np.uint8], points: NDArray[np.float64]) -> None:
    cv2.fillPoly(mask, [np.round((points + PATCH_PX / 2) * _SCALE).astype(np.int32)], 255)


def _turned(points: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.asarray(points @ np.array([[cos, sin], [-sin, cos]]), np.float64)


def disc(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A blank: a full round part, now and then with a small centre bore."""
    mask, radius = _canvas(), rng.uniform(64, 76)
    _circle(mask, 0, 0, radius, 255)
    if rng.random() < 0.5:
        _circle(mask, 0, 0, rng.uniform(7, 12), 0)
    return mask


def ring(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A washer with a wide rim, so that defects fit on it."""
    mask, radius = _canvas(), rng.uniform(70, 79)
    _circle(mask, 0, 0, radius, 255)
    _circle(mask, 0, 0, radius * rng.uniform(0.26, 0.36), 0)
    return mask


def plate(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A rounded rectangle with a bore in each corner."""
    mask, angle = _canvas(), rng.uniform(0, np.pi)
    half = np.array([rng.uniform(58, 68), rng.uniform(44, 54)])
    corner = rng.uniform(8, 14)
    centres = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (half - corner)
    turns = np.linspace(0, np.pi / 2, 8)
    starts = (np.pi, 1.5 * np.pi, 0.0, 0.5 * np.pi)
    arcs = [
        c + corner * np.stack([np.cos(turns + s), np.sin(turns + s)], 1)
        for c, s in zip(centres, starts, strict=True)
    ]
    _polygon(mask, _turned(np.concatenate(arcs), angle))
    for x, y in _turned(centres * 0.93, angle):
        _circle(mask, x, y, 5.0, 0)
    return mask


def hexagon(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A nut blank."""
    mask, turns = _canvas(), rng.uniform(0, np.pi) + np.arange(6) * np.pi / 3
    _polygon(mask, rng.uniform(70, 78) * np.stack([np.cos(turns), np.sin(turns)], 1))
    _circle(mask, 0, 0, rng.uniform(14, 22), 0)
    return mask


def cog(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A coarse gear wheel."""
    mask, teeth = _canvas(), int(rng.integers(12, 18))
    turns = np.linspace(0, 2 * np.pi, teeth * 24, endpoint=False) + rng.uniform(0, 1)
    radius = rng.uniform(68, 74) + 5.0 * np.tanh(3 * np.sin(turns * teeth))
    _polygon(mask, radius[:, None] * np.stack([np.cos(turns), np.sin(turns)], 1))
    _circle(mask, 0, 0, rng.uniform(9, 16), 0)
    return mask


SHAPES: tuple[Callable[[np.random.Generator], NDArray[np.uint8]], ...] = (
    disc,
    ring,
    plate,
    hexagon,
    cog,
)


def outline(rng: np.random.Generator) -> Float:
    """A random part's mask: float32 (PATCH_PX, PATCH_PX), 0 outside to 1 inside."""
    drawn = SHAPES[rng.integers(len(SHAPES))](rng)
    small = cv2.resize(drawn, (PATCH_PX, PATCH_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(small / np.float32(255), np.float32)
