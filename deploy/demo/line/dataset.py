"""Labelled pictures of the line in YOLO's folder layout, and the reference picture.

Every split is a run of its own: its own parts, from its own tiles of the photographs. Between two
pictures the belt moves on by most of a picture's width, so a part is seen once or twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from . import camera
from .defects import CLASSES
from .machine import HEIGHT, WIDTH
from .photos import SPLITS
from .scene import Line, Truth

Image = NDArray[np.uint8]

_START_PX = 600  # by then the belt is full of parts
_STRIDE_PX = {"train": 250, "val": 430, "test": 430}


def pictures(split: str, count: int, seed: int) -> Iterator[tuple[Image, list[Truth]]]:
    """``count`` pictures of ``split`` with their defects.

    Training pictures vary more in light, noise and sharpness than the line does; validation and
    test pictures are normal operation.
    """
    line, rng = Line(seed, split), np.random.default_rng((seed, SPLITS.index(split), 0, 1))
    position = _START_PX
    for _ in range(count):
        position += _STRIDE_PX[split] + int(rng.integers(100))
        canvas, truth = line.look(position)
        condition = camera.varied(rng) if split == "train" else camera.nominal(rng)
        yield camera.expose(camera.straight(canvas), condition, rng), truth


def label_lines(truth: list[Truth]) -> str:
    """YOLO's label text: ``class x y width height`` per line, as shares of the picture."""
    return "".join(
        f"{kind} {(x0 + x1) / 2 / WIDTH:.6f} {(y0 + y1) / 2 / HEIGHT:.6f} "
        f"{(x1 - x0) / WIDTH:.6f} {(y1 - y0) / HEIGHT:.6f}\n"
        for x0, y0, x1, y1, kind in truth
    )


def write_split(root: Path, split: str, count: int, seed: int) -> Iterator[Path]:
    """Write ``count`` PNGs and labels under ``root``; yields each path when it is there."""
    images, labels = root / "images" / split, root / "labels" / split
    images.mkdir(parents=True, exist_ok=True)
    labels.mkdir(parents=True, exist_ok=True)
    for number, (picture, truth) in enumerate(pictures(split, count, seed)):
        path = images / f"{split}-{number:04d}.png"
        write_png(path, picture)
        (labels / f"{path.stem}.txt").write_text(label_lines(truth), encoding="ascii")
        yield path


def write_png(path: Path, picture: Image) -> None:
    """Write ``picture`` as a lightly compressed PNG; OSError when it cannot be written."""
    if not cv2.imwrite(str(path), picture, [cv2.IMWRITE_PNG_COMPRESSION, 1]):
        raise OSError(f"cannot write {path}; is the folder there, and is the disk full?")


def write_data_yaml(root: Path) -> Path:
    """The ``data.yaml`` that training reads; its paths are relative to itself."""
    names = "".join(f"  {number}: {name}\n" for number, name in enumerate(CLASSES))
    path = root / "data.yaml"
    path.write_text(
        "train: images/train\nval: images/val\ntest: images/test\nnames:\n" + names,
        encoding="ascii",
    )
    return path


def reference(seed: int) -> Image:
    """The empty line as the commissioning engineer takes it: 16 exposures averaged."""
    view = camera.straight(Line(seed, "val", empty=True).look(0)[0])
    rng = np.random.default_rng((seed, SPLITS.index("machine")))
    shots = [camera.expose(view, camera.Condition(), rng) for _ in range(16)]
    return np.asarray(np.rint(np.mean(shots, axis=0)), np.uint8)
