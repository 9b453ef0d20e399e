"""From the canvas to what the sensor delivers, when the camera is well."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from .machine import HEIGHT, MARGIN, WIDTH

Float = NDArray[np.float32]
Image = NDArray[np.uint8]

# The lamp over the running line has aged a little since the validation pictures were taken.
LIVE_GAINS = (0.95, 1.0, 1.035)


@dataclass(frozen=True)
class Condition:
    """One exposure: light level, white balance (B, G, R), noise in grey levels, blur in pixels."""

    exposure: float = 1.0
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    noise_sigma: float = 2.0
    blur_sigma: float = 0.0
    jpeg_quality: int | None = None


def nominal(rng: np.random.Generator) -> Condition:
    """Normal operation at a random moment: the exposure wanders by 4 %."""
    return Condition(exposure=1 + 0.04 * rng.uniform(-1, 1))


def varied(rng: np.random.Generator) -> Condition:
    """A wider range than the line ever shows, for training."""
    low, mid, high = (float(g) for g in rng.uniform(0.92, 1.08, 3))
    return Condition(
        exposure=float(rng.uniform(0.85, 1.15)),
        gains=(low, mid, high),
        noise_sigma=float(rng.uniform(1.0, 3.5)),
        blur_sigma=float(rng.choice([0.0, 0.0, 0.6, 0.9])),
        jpeg_quality=int(rng.integers(50, 96)) if rng.random() < 0.5 else None,
    )


def live(second: float) -> Condition:
    """The running line ``second`` seconds into a clip: exposure drifts by 3 % over 23 s."""
    return Condition(exposure=1 + 0.03 * float(np.sin(second * 2 * np.pi / 23)), gains=LIVE_GAINS)


@lru_cache(maxsize=1)
def _vignette() -> Float:
    ys, xs = np.indices((HEIGHT, WIDTH), np.float32)
    reach = ((xs / WIDTH - 0.5) ** 2 + (ys / HEIGHT - 0.5) ** 2) / 0.5
    return np.asarray(1.04 - 0.2 * reach, np.float32)[..., None]


@lru_cache(maxsize=4)
def _gain(gains: tuple[float, float, float]) -> Float:
    return np.asarray(_vignette() * np.array(gains, np.float32), np.float32)


@lru_cache(maxsize=1)
def _noise() -> Float:
    """One sheet of unit noise; frames take random cuts of it, which is far cheaper than drawing."""
    rng = np.random.default_rng(20)
    sheet = rng.standard_normal((HEIGHT * 2, WIDTH * 2, 3), np.float32)
    # Demosaicing leaves noise that neighbouring pixels share.
    return np.asarray(cv2.GaussianBlur(sheet, (0, 0), 0.5) * 1.5, np.float32)


def straight(canvas: Image) -> Image:
    """The undisturbed view of the canvas."""
    return canvas[MARGIN : MARGIN + HEIGHT, MARGIN : MARGIN + WIDTH]


def expose(view: Image, condition: Condition, rng: np.random.Generator) -> Image:
    """What the sensor makes of ``view`` (uint8 BGR, HEIGHT x WIDTH) under ``condition``."""
    sharp: Float = view.astype(np.float32)
    if condition.blur_sigma:
        sharp = np.asarray(cv2.GaussianBlur(sharp, (0, 0), condition.blur_sigma), np.float32)
    lit = sharp * _gain(condition.gains)
    y, x = int(rng.integers(HEIGHT)), int(rng.integers(WIDTH))
    grain = _noise()[y : y + HEIGHT, x : x + WIDTH]
    signal = cv2.addWeighted(lit, condition.exposure, grain, condition.noise_sigma, 0.0)
    sensed = np.clip(np.rint(signal), 0, 255).astype(np.uint8)
    if condition.jpeg_quality is None:
        return sensed
    _, coded = cv2.imencode(".jpg", sensed, [cv2.IMWRITE_JPEG_QUALITY, condition.jpeg_quality])
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
