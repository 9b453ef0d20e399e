"""What does not move in front of the camera: rails, guards, screws; and the belt between them.

The picture is drawn larger than the camera sees (a margin on every side), so that a camera that was
knocked sees more of the machine and not an invented border.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .photos import mirrored, normalised, photograph

Float = NDArray[np.float32]
Image = NDArray[np.uint8]

WIDTH, HEIGHT = 512, 384  # what the camera sees
MARGIN = 48
CANVAS = (HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN)
# The opening through which the belt is seen, in canvas pixels: x0, y0, x1, y1.
OPENING = (MARGIN + 48, MARGIN + 62, MARGIN + 464, MARGIN + 322)
# The running lights: lamps in the rails' grooves, in canvas pixels.
LAMPS = tuple(
    (x, y)
    for y in (OPENING[1] - 16, OPENING[3] + 18)
    for x in range(OPENING[0] + 24, OPENING[2] - 20, 62)
)
BELT_PX = 2048  # the belt's texture repeats after this


def _material(
    seed: int, name: str, shape: tuple[int, int], colour: tuple[int, int, int], contrast: float
) -> Float:
    """A surface of ``colour`` with the machine's own tile of photograph ``name`` as its grain."""
    rng = np.random.default_rng(seed)
    tile = cv2.resize(photograph(name)[256:384, 256:384], (72, 72), interpolation=cv2.INTER_AREA)
    grain = mirrored(normalised(tile.astype(np.float32)), shape)
    grain = grain + 0.3 * rng.standard_normal(shape).astype(np.float32)
    return np.asarray((1 + contrast * grain)[..., None] * np.array(colour, np.float32), np.float32)


def _stripes(canvas: Float, x0: int, x1: int) -> None:
    """Worn yellow and black hazard stripes on a guard."""
    ys, xs = np.indices(canvas.shape[:2])
    band = ((xs + ys) // 17 % 2 == 0) & (xs >= x0) & (xs < x1)
    canvas[band] *= np.array((0.34, 1.35, 1.55), np.float32)
    dark = ~band & (xs >= x0) & (xs < x1)
    canvas[dark] *= np.float32(0.42)


def _screw(canvas: Float, x: int, y: int, radius: int, turn: float) -> None:
    """A socket-head screw: shadow, head, rim light and a hexagonal recess."""
    cv2.circle(canvas, (x + 2, y + 3), radius + 1, (18, 18, 18), -1, cv2.LINE_AA)
    cv2.circle(canvas, (x, y), radius, (150, 150, 146), -1, cv2.LINE_AA)
    cv2.ellipse(
        canvas, (x, y), (radius - 1, radius - 1), 0, 150, 290, (228, 230, 228), 2, cv2.LINE_AA
    )
    cv2.ellipse(canvas, (x, y), (radius - 1, radius - 1), 0, -30, 110, (84, 84, 84), 2, cv2.LINE_AA)
    turns = turn + np.arange(6) * np.pi / 3
    points = np.array([x, y]) + radius * 0.52 * np.stack([np.cos(turns), np.sin(turns)], 1)
    cv2.fillPoly(canvas, [np.round(points).astype(np.int32)], (32, 32, 34), cv2.LINE_AA)


def _rail(canvas: Float, y0: int, y1: int) -> None:
    """An extruded aluminium rail with two grooves and a millimetre scale."""
    width = canvas.shape[1]
    canvas[y0:y1] = _material(y0, "grass", (y1 - y0, width), (158, 160, 156), 0.07)
    for share, depth in ((0.22, 5), (0.72, 6)):
        y = y0 + int((y1 - y0) * share)
        canvas[y : y + depth] *= np.float32(0.28)
        canvas[y + depth : y + depth + 2] *= np.float32(1.35)
    canvas[y0 : y0 + 2] *= np.float32(1.3)
    canvas[y1 - 3 : y1] *= np.float32(0.35)
    for step, x in enumerate(range(6, width, 8)):
        tick = 12 if step % 5 == 0 else 7
        cv2.line(canvas, (x, y0 + 30), (x, y0 + 30 + tick), (38, 38, 42), 2 if step % 5 == 0 else 1)


def _plate(canvas: Float, x0: int, y0: int, text: tuple[str, str]) -> None:
    """A riveted name plate."""
    canvas[y0 + 3 : y0 + 37, x0 + 3 : x0 + 109] *= np.float32(0.5)
    canvas[y0 : y0 + 34, x0 : x0 + 106] = _material(7, "gravel", (34, 106), (206, 208, 204), 0.03)
    cv2.rectangle(canvas, (x0 + 2, y0 + 2), (x0 + 103, y0 + 31), (46, 40, 40), 1)
    # putText draws on bytes only.
    label = np.full((34, 106), 255, np.uint8)
    for line, y in zip(text, (15, 28), strict=True):
        cv2.putText(label, line, (8, y), cv2.FONT_HERSHEY_SIMPLEX, 0.38, 30, 1, cv2.LINE_AA)
    canvas[y0 : y0 + 34, x0 : x0 + 106] *= label[..., None] / np.float32(255)


def structure() -> Image:
    """The machine without belt: uint8 BGR of shape ``CANVAS``; the opening is left dark."""
    height = CANVAS[0]
    x0, y0, x1, y1 = OPENING
    canvas = _material(3, "gravel", CANVAS, (96, 88, 80), 0.16)
    _stripes(canvas, x0 - 30, x0 - 8)
    _stripes(canvas, x1 + 8, x1 + 30)
    _rail(canvas, y0 - 56, y0 - 4)
    _rail(canvas, y1 + 4, y1 + 56)
    for x in range(x0 - 20, x1 + 60, 109):
        _screw(canvas, x, y0 - 24, 9, x * 0.7)
        _screw(canvas, x + 34, y1 + 23, 9, x * 0.3)
    for x in (x0 - 40, x1 + 40):
        for y in range(24, height, 62):
            _screw(canvas, x, y, 7, y * 0.9)
    _plate(canvas, x0 + 128, y0 - 47, ("STATION 4", "CAM 03  ->"))
    cv2.rectangle(canvas, (x0 - 3, y0 - 3), (x1 + 2, y1 + 2), (14, 14, 14), 3)
    return np.asarray(np.clip(canvas, 0, 255), np.uint8)


def running_lights(canvas: Image) -> Image:
    """``canvas`` with the running lights lit, as they are while the line runs."""
    glow = np.zeros(CANVAS, np.float32)
    for lamp in LAMPS:
        cv2.ellipse(glow, lamp, (9, 3), 0, 0, 360, 1.0, -1, cv2.LINE_AA)
    halo = cv2.GaussianBlur(glow, (0, 0), 1.2) + 0.6 * cv2.GaussianBlur(glow, (0, 0), 5.0)
    lit = canvas + halo[..., None] * np.array((96, 214, 120), np.float32)
    return np.asarray(np.clip(lit, 0, 255), np.uint8)


def belt() -> Float:
    """The rubber belt, float32 (opening height, BELT_PX, 3): dark, fine grain, faint ribs."""
    rows = OPENING[3] - OPENING[1]
    rubber = _material(11, "gravel", (rows, BELT_PX), (46, 45, 44), 0.055)
    ribs = 1 + 0.03 * np.sin(np.arange(BELT_PX) * 2 * np.pi / 16)
    rubber *= ribs.astype(np.float32)[None, :, None]
    return np.asarray(cv2.blur(rubber, (3, 1)), np.float32)


def opening_shade() -> Float:
    """The guards' soft shadow on what lies in the opening, float32 (rows, columns, 1)."""
    rows, columns = OPENING[3] - OPENING[1], OPENING[2] - OPENING[0]
    free = np.zeros((rows + 2, columns + 2), np.uint8)
    free[1:-1, 1:-1] = 1
    reach = cv2.distanceTransform(free, cv2.DIST_L2, 5)[1:-1, 1:-1]
    return np.asarray(1 - 0.45 * np.exp(-reach / 9), np.float32)[..., None]
