"""Video clips of the running line, each with its ground truth beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from . import camera, faults
from .defects import CLASSES
from .machine import HEIGHT, WIDTH
from .photos import SPLITS
from .scene import Line, Truth

Image = NDArray[np.uint8]

FPS = 10
SPEED_PX = 12  # the belt's way from frame to frame
_START_PX = 600


@dataclass(frozen=True)
class Fault:
    """One fault from ``from_s`` to ``to_s``, growing over its first ``ramp_s`` seconds."""

    name: str
    from_s: float
    to_s: float
    ramp_s: float = 0.0

    def amount(self, second: float) -> float:
        """How far the fault has grown at ``second``: 0 (absent) to 1."""
        if not self.from_s <= second < self.to_s:
            return 0.0
        return min(1.0, (second - self.from_s + 1 / FPS) / self.ramp_s) if self.ramp_s else 1.0


FAULTS_S = 40.0
FAULTS = (
    Fault("dirty_lens", 2, 20, ramp_s=3),  # wiped at 20 s
    Fault("occlusion", 23, 27, ramp_s=0.4),
    Fault("knock", 30, 36),
)


@dataclass(frozen=True)
class Frame:
    """One frame of a clip with what is true about it."""

    picture: Image
    boxes: list[Truth]
    faults: list[str]


def frames(seed: int, seconds: float, plan: tuple[Fault, ...] = ()) -> Iterator[Frame]:
    """The frames of a clip, at ``FPS``, with the faults of ``plan``."""
    line = Line(seed, "clip", running=True)
    for number in range(round(seconds * FPS)):
        second = number / FPS
        amounts = {fault.name: fault.amount(second) for fault in plan}
        active = [name for name, amount in amounts.items() if amount > 0]
        canvas, truth = line.look(_START_PX + number * SPEED_PX)
        knocked = "knock" in active
        view = faults.knock(canvas) if knocked else camera.straight(canvas)
        rng = np.random.default_rng((seed, SPLITS.index("clip"), number))
        picture = _spoilt(camera.expose(view, camera.live(second), rng), amounts)
        yield Frame(picture, [faults.knocked_box(b) for b in truth] if knocked else truth, active)


def _spoilt(picture: Image, amounts: dict[str, float]) -> Image:
    """``picture`` with the faults that lie between scene and sensor."""
    picture = faults.dirty_lens(picture, amounts.get("dirty_lens", 0.0))
    picture = faults.occlusion(picture, 0.6 * amounts.get("occlusion", 0.0))
    if amounts.get("defocus", 0.0):
        picture = faults.defocus(picture, 4.0 * amounts["defocus"])
    if amounts.get("bad_exposure", 0.0):
        picture = faults.bad_exposure(picture, 1 + 1.2 * amounts["bad_exposure"])
    return picture


def record(path: Path, seed: int, seconds: float, plan: tuple[Fault, ...] = ()) -> Iterator[Frame]:
    """Write the clip ``path`` and its ``.truth.json``; yields each frame when it is written."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (WIDTH, HEIGHT))
    if not writer.isOpened():
        raise OSError(f"cannot write {path}; is the folder there, and does this OpenCV have mp4v?")
    told: list[dict[str, Any]] = []
    try:
        for frame in frames(seed, seconds, plan):
            writer.write(frame.picture)
            boxes = [[*(round(v, 1) for v in box[:4]), box[4]] for box in frame.boxes]
            told.append({"boxes": boxes, "faults": frame.faults})
            yield frame
    finally:
        writer.release()
    truth = {
        "fps": FPS,
        "seed": seed,
        "size": [WIDTH, HEIGHT],
        "classes": list(CLASSES),
        "intervals": [{"fault": f.name, "from_s": f.from_s, "to_s": f.to_s} for f in plan],
        "frames": told,
    }
    truth_path(path).write_text(json.dumps(truth, separators=(",", ":")) + "\n", encoding="ascii")


def truth_path(clip: Path) -> Path:
    """Where the truth of ``clip`` lies: ``clip.mp4`` has ``clip.truth.json``."""
    return clip.with_suffix(".truth.json")
