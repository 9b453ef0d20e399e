"""Video clips of the running line, each with its ground truth beside it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
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
from .scene import Comes, Line, Truth
from .severity import THE_DEMOS, Severity, Turn

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
    severity: Severity = THE_DEMOS

    def amount(self, second: float) -> float:
        """How far the fault has grown at ``second``: 0 (absent) to 1."""
        if not self.from_s <= second < self.to_s:
            return 0.0
        return min(1.0, (second - self.from_s + 1 / FPS) / self.ramp_s) if self.ramp_s else 1.0

    def grown(self, second: float) -> Severity:
        """How bad the fault is at ``second``."""
        return self.severity.grown(self.amount(second))


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


@dataclass(frozen=True)
class Run:
    """How the line runs during a clip; the defaults are the demo's.

    Attributes:
        phase_s: where in its slow wander the exposure begins.
        shake_px: standard deviation of the camera's vibration.
        stops_s: from when to when the belt stands still.
        comes: which parts come down the line.
    """

    phase_s: float = 0.0
    shake_px: float = 0.0
    stops_s: tuple[float, float] = (0.0, 0.0)
    comes: Comes | None = None

    def position_px(self, number: int) -> int:
        """How far the belt has moved at frame ``number``."""
        first, last = (math.ceil(second * FPS) for second in self.stops_s)
        stood = min(max(number - first, 0), last - first)
        return _START_PX + (number - stood) * SPEED_PX


def frames(
    seed: int,
    seconds: float,
    plan: tuple[Fault, ...] = (),
    run: Run = Run(),
) -> Iterator[Frame]:
    """The frames of a clip, at ``FPS``, with the faults of ``plan``."""
    line = Line(seed, "clip", running=True, comes=run.comes)
    shown = Frame(np.zeros((HEIGHT, WIDTH, 3), np.uint8), [], [])
    for number in range(round(seconds * FPS)):
        second = number / FPS
        active = {fault.name: fault for fault in plan if fault.amount(second) > 0}
        rng = np.random.default_rng((seed, SPLITS.index("clip"), number))
        if "freeze" in active and number:
            shown = Frame(_held(shown.picture, active["freeze"], rng), shown.boxes, [*active])
            yield shown
            continue
        canvas, truth = line.look(run.position_px(number))
        view = _view(canvas, active.get("knock"), run.shake_px, (seed, number))
        light = camera.live(second + run.phase_s)
        if "bad_exposure" in active:
            light = faults.bad_exposure(light, active["bad_exposure"].grown(second).gain)
        if "knock" in active:
            truth = [faults.knocked_box(box, active["knock"].severity.turn) for box in truth]
        picture = camera.expose(_through_the_lens(view, active.values(), second), light, rng)
        shown = Frame(picture, truth, [*active])
        yield shown


def _view(canvas: Image, knock: Fault | None, shake_px: float, key: tuple[int, int]) -> Image:
    """What the camera sees of the canvas, wherever it points now."""
    if knock is None and not shake_px:
        return camera.straight(canvas)
    turn = Turn(0.0, 0.0, 0.0) if knock is None else knock.severity.turn
    rng = np.random.default_rng((*key, 1))
    dx_px, dy_px = rng.normal(0.0, shake_px, 2) if shake_px else (0.0, 0.0)
    moved = Turn(turn.degrees, turn.dx_px + float(dx_px), turn.dy_px + float(dy_px))
    return faults.knock(canvas, moved)


def _held(shown: Image, freeze: Fault, rng: np.random.Generator) -> Image:
    """The picture at which a grabber hangs; now and then an encoder behind it begins anew."""
    if freeze.severity.recoded and rng.random() < 0.2:
        return faults.recoded(shown, int(rng.integers(80, 91)))
    return shown


def _through_the_lens(view: Image, active: Iterable[Fault], second: float) -> Image:
    """``view`` with the faults that lie between scene and sensor."""
    for fault in active:
        how = fault.grown(second)
        if fault.name == "dirty_lens":
            view = faults.dirty_lens(view, how.dirt, how.dirt_pattern)
        elif fault.name == "occlusion":
            view = faults.occlusion(view, how.cover, how.rag)
        elif fault.name == "defocus":
            view = faults.defocus(view, how.blur_px)
    return view


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
