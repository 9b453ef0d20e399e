"""A small camera for the gate's tests: a textured machine around a hole in which something moves.

``picture(n)`` is the n-th frame, (120, 160, 3) BGR uint8; every fault is a function on it or an
argument. `learnt` and `baseline` are what 60 good frames teach, made once.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from edge_agent.gate.baseline import Baseline, Learnt, Reference
from edge_agent.gate.learn import Student, settle
from edge_agent.gate.view import View, look

WIDTH, HEIGHT, MARGIN = 160, 120, 20
HOLE = (50, 40, 110, 80)  # x0, y0, x1, y1
NOISE = 2.0
FPS = 10.0


@lru_cache(maxsize=4)
def machine(seed: int = 0) -> np.ndarray:
    """What stands still, with a margin around the view; float32 grey."""
    rng = np.random.default_rng([seed, 5])
    shape = (HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN)
    coarse = cv2.GaussianBlur(rng.normal(0, 1, shape).astype(np.float32), (0, 0), 2.0) * 130
    fine = cv2.GaussianBlur(rng.normal(0, 1, shape).astype(np.float32), (0, 0), 0.8) * 25
    return np.clip(120 + coarse + fine, 20, 220).astype(np.float32)


def picture(
    number: int,
    *,
    seed: int = 0,
    light: float = 1.0,
    noise: float = NOISE,
    blur: float = 0.0,
    dx: float = 0.0,
    dy: float = 0.0,
    turn: float = 0.0,
    cover: tuple[int, int, int, int] | None = None,
) -> np.ndarray:
    """One frame: light on the scene, then optics and movement, then the sensor's noise."""
    rng = np.random.default_rng([seed, 6, number])
    scene = machine(seed).copy()
    x0, y0, x1, y1 = (side + MARGIN for side in HOLE)
    scene[y0:y1, x0:x1] = 40
    at = x0 + (number * 7) % (x1 - x0 - 14)
    scene[y0 + 8 : y1 - 8, at : at + 14] = 200
    middle = ((WIDTH - 1) / 2 + MARGIN, (HEIGHT - 1) / 2 + MARGIN)
    matrix = cv2.getRotationMatrix2D(middle, turn, 1.0)
    matrix[:, 2] += (dx - MARGIN, dy - MARGIN)
    view = cv2.warpAffine(scene, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)
    if cover is not None:
        left, top, right, bottom = cover
        view[top:bottom, left:right] = 90
    if blur:
        view = cv2.GaussianBlur(view, (0, 0), blur)
    grain = rng.normal(0, noise, view.shape) if noise else 0.0
    gray = np.clip(np.rint(view * light + grain), 0, 255).astype(np.uint8)
    return cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR)


def views(count: int, **how) -> list[View]:
    """The views of so many frames."""
    return [look(picture(number, **how), WIDTH) for number in range(count)]


@lru_cache(maxsize=4)
def learnt(seed: int = 0, light: float = 1.0, count: int = 60) -> Learnt:
    """What good frames teach."""
    good = views(count, seed=seed, light=light)
    student = Student(settle([view.gray for view in good]))
    for view in good:
        student.add(view)
    return student.learn(in_a_row=True)


def reference(name: str = "day", **how) -> Reference:
    """The same as a reference of a baseline."""
    return Reference(name, "2026-11-01T00:00:00Z", "a test", FPS, learnt(**how))


def baseline(*references: Reference) -> Baseline:
    """A baseline of these references, or of the plain one."""
    return Baseline("top", (WIDTH, HEIGHT), WIDTH, references or (reference(),))
