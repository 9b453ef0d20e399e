"""What is measured on: a bundle built from a committed checkpoint, and pictures of the line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from edge_agent.bundle import Bundle
from edge_agent.detection.preprocess import Image
from edge_agent.gate import Baseline
from edge_agent.gate.baseline import Reference
from edge_agent.gate.learn import Student, settle
from edge_agent.gate.view import look

HERE = Path(__file__).resolve().parent.parent
PICTURES = HERE / "tests/data/line"
MODELS = HERE / "deploy/demo/models"
FULL_HD = (1920, 1080)
WIDTH = 160  # the default of [gate] width


def checkpoint() -> Path:
    """The newest of the demo's committed models."""
    return sorted(MODELS.glob("*.pt"))[-1]


def build(source: Path, output: Path, size: int, reference_data: Path = PICTURES) -> Bundle:
    """Build a bundle with the real builder."""
    pictures = picture_files()
    command = [
        sys.executable, "-m", "builder", "build", str(source), "-o", str(output),
        "--reference-data", str(reference_data), "--reference-image", str(pictures[0]),
        "--prove", "never", "--imgsz", str(size),
    ]  # fmt: skip
    subprocess.run(command, check=True, cwd=HERE, stdout=subprocess.DEVNULL)
    return Bundle.open(output)


def picture_files() -> list[Path]:
    """The committed pictures of the line."""
    return sorted(PICTURES.glob("*.jpg"))


def pictures() -> list[Image]:
    """The same, read."""
    return [np.asarray(cv2.imread(str(path)), np.uint8) for path in picture_files()]


def full_hd() -> list[Image]:
    """The same, as a camera of 1920 x 1080 would give them."""
    return [np.asarray(cv2.resize(picture, FULL_HD), np.uint8) for picture in pictures()]


def baseline(images: Sequence[Image], camera: str = "tap", copies: int = 5) -> Baseline:
    """What `edge-agent calibrate` would learn of a camera that gives these, with sensor noise."""
    rng = np.random.default_rng(0)
    views = [
        look(np.asarray(cv2.add(image, rng.integers(-3, 4, image.shape), dtype=cv2.CV_8U)), WIDTH)
        for image in list(images) * copies
    ]
    student = Student(settle([view.gray for view in views]))
    for view in views:
        student.add(view)
    learnt = student.learn(in_a_row=True)
    reference = Reference("default", "2026-11-01T00:00:00Z", "the benchmark", None, learnt)
    return Baseline(camera, views[0].size, WIDTH, (reference,))


def write_clip(path: Path, frames: int) -> Path:
    """An MJPEG file of the pictures, in turns; returns its path."""
    images = pictures()
    height, width = images[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, (width, height))
    for number in range(frames):
        writer.write(images[number % len(images)])
    writer.release()
    return path
