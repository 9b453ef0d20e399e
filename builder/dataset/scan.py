"""Measure every image of a folder against the reference, in parallel and in bounded memory.

Threads suffice: decoding, resizing and SSIM happen outside Python's lock. A few images per thread
are in flight, and of each only a score, two hashes and a thumbnail of 1 KiB are kept.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from builder.crew import in_order
from builder.dataset.whole import damage
from builder.images import SUFFIXES
from edge_agent.detection.preprocess import Image
from edge_agent.errors import SourceError, UsageError
from edge_agent.gate import Reference

THUMB = 32
MOST_BYTES = 256 * 1024 * 1024
MOST_PIXELS = 1 << 26
"""Decoders are told to refuse more (`limit_pixels`), so that no image fills the memory."""


@dataclass(frozen=True)
class Measured:
    """What is known of one file.

    Attributes:
        name: relative to the folder, with ``/``.
        fault: why it cannot be used, or "".
        ssim: against the reference, -1..1; 0 with a fault.
        content: SHA-256 of the file.
        pixels: hash of the grey picture: equal for files that show the same, whatever their format.
        thumb: (THUMB, THUMB) grey uint8; empty with a fault.
        resized: whether its size was not the reference's.
    """

    name: str
    fault: str
    ssim: float = 0.0
    content: bytes = b""
    pixels: bytes = b""
    thumb: Image | None = None
    resized: bool = False


def limit_pixels() -> None:
    """Make OpenCV refuse pictures of more than `MOST_PIXELS`; works before cv2 is imported."""
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MOST_PIXELS))


def image_files(root: Path) -> list[Path]:
    """Every image file below a folder, by path.

    Raises:
        UsageError: when it is not a folder, or has none.
    """
    if not root.is_dir():
        raise UsageError(f"{root}: not a folder; give the folder of the images")
    found = sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not found:
        raise UsageError(f"{root}: no images in it ({', '.join(SUFFIXES)})")
    return found


def read_gray(path: Path) -> Image:
    """A picture file as (H, W) grey uint8.

    Raises:
        SourceError: it cannot be read, or in which way it is damaged.
    """
    data, fault = _read(path)
    gray, fault = (None, fault) if fault else _decode(data)
    if gray is None:
        raise SourceError(f"{path}: {fault}; give a PNG or JPEG file")
    return gray


def scan(
    root: Path, paths: Sequence[Path], reference: Image, *, workers: int | None = None
) -> Iterator[Measured]:
    """Measure all files, in the order of ``paths``.

    Args:
        root: what names are relative to.
        paths: below ``root``.
        reference: (H, W) grey uint8; images of another size are resized to it (INTER_AREA).
        workers: threads; None takes one per CPU that this process may use.
    """
    local = threading.local()

    def measure(path: Path) -> Measured:
        if not hasattr(local, "reference"):
            local.reference = Reference(reference)  # its buffers belong to one thread
        return _measure(path, path.relative_to(root).as_posix(), local.reference)

    with _one_thread_each():
        yield from in_order(measure, paths, workers)


def _measure(path: Path, name: str, reference: Reference) -> Measured:
    data, fault = _read(path)
    gray, fault = (None, fault) if fault else _decode(data)
    if gray is None:
        return Measured(name, fault)
    height, width = reference.shape
    fits = gray.shape == (height, width)
    fitted = gray if fits else _resize(gray, width, height)
    return Measured(
        name,
        "",
        ssim=reference.ssim(fitted),
        content=hashlib.sha256(data).digest(),
        pixels=hashlib.sha256(repr(gray.shape).encode() + gray.tobytes()).digest(),
        thumb=_resize(gray, THUMB, THUMB),
        resized=not fits,
    )


def _read(path: Path) -> tuple[bytes, str]:
    """The file's bytes, or why there are none."""
    try:
        if path.stat().st_size > MOST_BYTES:
            return b"", "is too large to be an image"
        return path.read_bytes(), ""
    except OSError as error:
        return b"", f"cannot be read ({error.strerror})"


def _decode(data: bytes) -> tuple[Image | None, str]:
    if fault := damage(data):
        return None, fault
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        picture = None
    if picture is None:
        return None, "cannot be decoded"
    # Not IMREAD_GRAYSCALE: then each format's own library would make its own grey.
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8), ""


def _resize(gray: Image, width: int, height: int) -> Image:
    return np.asarray(cv2.resize(gray, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """OpenCV's own threads would only fight with ours."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
