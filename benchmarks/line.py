"""What is measured on: a bundle built from a committed checkpoint, and pictures of the line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

from edge_agent.bundle import Bundle
from edge_agent.detection.preprocess import Image

HERE = Path(__file__).resolve().parent.parent
PICTURES = HERE / "tests/data/line"
MODELS = HERE / "deploy/demo/models"
FULL_HD = (1920, 1080)


def checkpoint() -> Path:
    """The newest of the demo's committed models."""
    return sorted(MODELS.glob("*.pt"))[-1]


def build(source: Path, output: Path, size: int) -> Bundle:
    """Build a bundle with the real builder."""
    pictures = picture_files()
    command = [
        sys.executable, "-m", "builder", "build", str(source), "-o", str(output),
        "--reference-data", str(PICTURES), "--reference-image", str(pictures[0]),
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


def write_clip(path: Path, frames: int) -> Path:
    """An MJPEG file of the pictures, in turns; returns its path."""
    images = pictures()
    height, width = images[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, (width, height))
    for number in range(frames):
        writer.write(images[number % len(images)])
    writer.release()
    return path
