"""From a promoted alias to a published release of three precisions, as the commands do it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np

from benchmarks.export import Subject
from benchmarks.line import PICTURES, pictures
from benchmarks.rows import Row

IMAGES = 200
_LIMIT_S = 600.0


def release_s(
    what: Subject, folder: Path, source: str, tracking: list[str], *, images: int = IMAGES
) -> Row:
    """Build fp32, fp16 and int8 with 64 calibration images and ``images`` labelled ones; publish.

    Args:
        what: the model; its size in pixels counts.
        folder: scratch.
        source: where the builder finds it.
        tracking: options that name the registry.
        images: labelled pictures.

    Raises:
        RuntimeError: a command failed; its last line.
    """
    data, labels = _data(folder, images)
    repo = folder / "repo"
    _run("repo", "init", "--repo", str(repo))
    began = time.perf_counter()
    _run(
        "build", source, "-o", str(folder / "bundle"), *tracking, "--imgsz", str(what.size),
        "--reference-data", str(data), "--labels", str(labels),
        "--precision", "fp32,fp16,int8", "--prove", "never",
    )  # fmt: skip
    _run("publish", str(folder / "bundle"), "--repo", str(repo), *tracking)
    seconds = time.perf_counter() - began
    return Row("release_s", seconds, f"s, {what.name}, {images} labelled images")


def _run(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "builder", *arguments],
        capture_output=True, text=True, timeout=_LIMIT_S, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"edge-builder {arguments[0]}: {done.stderr.strip().splitlines()[-1:]}")


def _data(folder: Path, images: int) -> tuple[Path, Path]:
    """The committed pictures in 640 pixels, mirrored and with noise, with labels like theirs."""
    data, labels = folder / "images", folder / "labels"
    data.mkdir()
    labels.mkdir()
    known = pictures()
    texts = [path.read_text(encoding="utf-8") for path in sorted(PICTURES.glob("*.txt"))]
    random = np.random.default_rng(0)
    for number in range(images):
        picture = cv2.resize(known[number % len(known)], (640, 640))
        noisy = picture + random.normal(0, 3, picture.shape)
        path = data / f"{number:04d}.jpg"
        cv2.imwrite(str(path), np.clip(noisy, 0, 255).astype(np.uint8))
        text = texts[number % len(texts)]
        (labels / f"{number:04d}.txt").write_text(text, encoding="utf-8")
    return data, labels


def promoted(folder: Path, checkpoint: Path) -> tuple[str, list[str]]:
    """A registry in which the checkpoint is promoted: the source, and the options that name it."""
    from mlflow import MlflowClient

    uri = f"sqlite:///{folder / 'mlflow.db'}"
    client = MlflowClient(uri, uri)
    client.create_registered_model("bench")
    client.create_model_version("bench", str(checkpoint))
    client.set_registered_model_alias("bench", "production", "1")
    return "models:/bench@production", ["--tracking-uri", uri]
