"""What goes wrong with a camera on a line, each as one named function.

``knock`` moves the view on the canvas, ``bad_exposure`` changes the light, ``freeze`` is what a
grabber does that hangs (`clips` repeats the picture), and the others lie before the sensor, which
adds its noise to them. How bad each gets is in `severity`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from .camera import Condition
from .machine import HEIGHT, MARGIN, WIDTH
from .scene import Truth
from .severity import Rag, Turn

Float = NDArray[np.float32]
Image = NDArray[np.uint8]

FAULTS = ("dirty_lens", "occlusion", "knock", "defocus", "bad_exposure", "freeze")


def _matrix(turn: Turn) -> NDArray[np.float64]:
    """From canvas to the view of a camera whose bracket was hit."""
    middle = (WIDTH / 2 + MARGIN, HEIGHT / 2 + MARGIN)
    matrix = cv2.getRotationMatrix2D(middle, turn.degrees, 1.0)
    matrix[:, 2] += (turn.dx_px - MARGIN, turn.dy_px - MARGIN)
    return np.asarray(matrix, np.float64)


def knock(canvas: Image, turn: Turn = Turn()) -> Image:  # noqa: B008
    """The view of ``canvas`` through a camera that was knocked."""
    view = cv2.warpAffine(canvas, _matrix(turn), (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(view, np.uint8)


def knocked_box(box: Truth, turn: Turn = Turn()) -> Truth:  # noqa: B008
    """``box`` of the undisturbed view as a knocked camera sees it (still upright)."""
    x0, y0, x1, y1, kind = box
    corners = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)]) + MARGIN
    matrix = _matrix(turn)
    seen = corners @ matrix[:, :2].T + matrix[:, 2]
    seen = np.clip(seen, 0, (WIDTH, HEIGHT))
    low, high = seen.min(0), seen.max(0)
    return (float(low[0]), float(low[1]), float(high[0]), float(high[1]), kind)


@lru_cache(maxsize=2)
def _dirt(seed: int) -> tuple[Float, Float]:
    """Where the lens is greasy (0..1) and where dust sits on it (0..1), each with its order."""
    rng = np.random.default_rng(seed)
    cloud = cv2.resize(
        rng.uniform(0, 1, (7, 9)).astype(np.float32), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC
    )
    grease = np.clip(cloud * 1.3 - 0.1, 0, 1)
    dust = np.zeros((HEIGHT, WIDTH), np.float32)
    for _ in range(70):
        spot = np.zeros((HEIGHT, WIDTH), np.uint8)
        centre = (int(rng.integers(WIDTH)), int(rng.integers(HEIGHT)))
        axes = (int(rng.integers(4, 26)), int(rng.integers(4, 20)))
        cv2.ellipse(spot, centre, axes, float(rng.uniform(0, 180)), 0, 360, 255, -1)
        # A spot on the glass is far out of focus.
        soft = cv2.GaussianBlur(spot, (0, 0), 7.0).astype(np.float32) / 255
        dust = np.maximum(dust, soft * np.float32(rng.uniform(0.25, 0.8)))
    return grease.astype(np.float32), dust


def dirty_lens(frame: Image, amount: float, pattern: int = 77) -> Image:
    """Grease that blurs and veils, and dust that darkens; ``amount`` grows from 0 to 1.

    ``pattern`` is the seed that says where they sit.
    """
    if amount <= 0:
        return frame
    grease, dust = _dirt(pattern)
    small = cv2.resize(frame, (WIDTH // 4, HEIGHT // 4), interpolation=cv2.INTER_AREA)
    hazy = cv2.resize(cv2.GaussianBlur(small, (0, 0), 2.2), (WIDTH, HEIGHT)).astype(np.float32)
    veil = np.clip(amount * (0.55 + 0.45 * grease), 0, 1)[..., None]
    picture = frame * (1 - veil) + (hazy * 0.72 + 34) * veil
    picture *= 1 - np.clip(dust * (2 * amount - 0.3), 0, 0.6)[..., None]
    return np.asarray(np.clip(picture, 0, 255), np.uint8)


def occlusion(frame: Image, cover: float, rag: Rag = Rag()) -> Image:  # noqa: B008
    """A rag, out of focus, hangs into the view from a side and covers ``cover`` of it."""
    if cover <= 0:
        return frame
    turned = np.rot90(frame, rag.quarters)
    height, width = turned.shape[:2]
    xs = np.arange(width, dtype=np.float32)[None, :]
    ys = np.arange(height, dtype=np.float32)[:, None]
    edge = width * (1 - cover) + 16 * np.sin(ys / 41) - 0.14 * (ys - height / 2)
    cloth = np.clip((xs - edge) / 22, 0, 1)[..., None]
    folds = 1 + 0.14 * np.sin((xs - edge) / 23 + 0.02 * ys)[..., None]
    hung = turned * (1 - cloth) + folds * np.array(rag.colour, np.float32) * cloth
    covered = np.rot90(np.clip(hung, 0, 255).astype(np.uint8), -rag.quarters)
    return np.ascontiguousarray(covered)


def defocus(frame: Image, sigma_px: float = 4.0) -> Image:
    """The focus ring has turned."""
    return np.asarray(cv2.GaussianBlur(frame, (0, 0), sigma_px), np.uint8)


def bad_exposure(light: Condition, gain: float = 2.2) -> Condition:
    """The exposure is far off: above 1 the lights burn out, below 1 the picture drowns."""
    return replace(light, exposure=light.exposure * gain)


def recoded(frame: Image, quality: int) -> Image:
    """A frozen picture after an encoder that does not know that it is frozen."""
    _, coded = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
