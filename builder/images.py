"""Pictures for golden set and profile: a folder of them, or drawn ones where there is none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from builder.progress import Progress
from edge_agent.detection.preprocess import Image
from edge_agent.errors import SourceError, UsageError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
SYNTHETIC_FRAMES = 16
_SEED = 20_240
_SHOWN = 3


@dataclass(frozen=True)
class Picture:
    """One picture: its name for messages and ties, and (H, W, 3) BGR uint8 pixels."""

    name: str
    pixels: Image


class Folder:
    """All pictures below a folder, or on a list, by path. Iterating reads them one by one.

    Args:
        root: the folder, or a ``.txt`` file with one path per line (`builder.dataset` writes such
            a ``kept.txt``); names are then relative to what all of its pictures lie below.

    Attributes:
        unreadable: the pictures that could not be read the last time that all were.

    Raises:
        UsageError: when it is neither or has no picture in it, or a listed one is missing.
    """

    def __init__(self, root: Path) -> None:
        self.unreadable: set[Path] = set()
        if root.suffix.lower() == ".txt" and root.is_file():
            self.paths = listed(root)
            self.root = Path(os.path.commonpath([path.parent for path in self.paths]))
            return
        if not root.is_dir():
            raise UsageError(
                f"{root}: not a folder; --reference-data wants a folder of images, or a list of"
                " them (.txt)"
            )
        self.root = root
        self.paths = sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES)
        if not self.paths:
            raise UsageError(f"{root}: no images in it ({', '.join(SUFFIXES)})")

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, progress: Progress) -> Iterator[Picture]:
        """Every picture that can be read; says which could not.

        Raises:
            SourceError: when none could.
        """
        broken: list[str] = []
        self.unreadable = set()
        for path in progress.track(self.paths, "reference images", len(self.paths)):
            pixels = load(path)
            if pixels is None:
                broken.append(path.relative_to(self.root).as_posix())
                self.unreadable.add(path)
            else:
                yield Picture(path.relative_to(self.root).as_posix(), pixels)
        if len(broken) == len(self.paths):
            raise SourceError(f"{self.root}: none of its {len(broken)} images can be read")
        if broken:
            more = " …" if len(broken) > _SHOWN else ""
            progress.warn(
                f"{self.root}: {len(broken)} of {len(self.paths)} images cannot be read and were"
                f" left out: {', '.join(broken[:_SHOWN])}{more}"
            )

    def one(self, name: str) -> Image:
        """Read one picture again; raises `SourceError` when it is gone."""
        return read_picture(self.root / name)


def listed(path: Path) -> list[Path]:
    """The pictures on a list, sorted; relative lines are relative to the list.

    Raises:
        UsageError: there are none, or one of them is not there.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    found = sorted({(path.parent / line.strip()).absolute() for line in lines if line.strip()})
    wrong = [one for one in found if one.suffix.lower() not in SUFFIXES or not one.is_file()]
    if wrong or not found:
        what = f"{wrong[0]} is not an image that is there" if wrong else "no images on it"
        raise UsageError(f"{path}: {what}; make the list again: `edge-builder dataset check`")
    return found


class Synthetic:
    """Seeded drawings, for models that come without reference data."""

    def __len__(self) -> int:
        return SYNTHETIC_FRAMES

    def read(self, progress: Progress) -> Iterator[Picture]:
        """All drawings, the same ones every time."""
        for index in range(SYNTHETIC_FRAMES):
            yield Picture(f"synthetic-{index:04d}", self.one(f"synthetic-{index:04d}"))

    def one(self, name: str) -> Image:
        """One drawing by its name."""
        return _draw(int(name.rpartition("-")[2]))


def load(path: Path) -> Image | None:
    """A picture file as (H, W, 3) BGR uint8, None when it is not one."""
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError:
        return None
    if not data.size:
        return None
    try:
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    return None if pixels is None else np.asarray(pixels, np.uint8)


def read_picture(path: Path) -> Image:
    """A picture file that must be there; raises `SourceError`."""
    pixels = load(path)
    if pixels is None:
        raise SourceError(f"{path}: is not a picture that can be read; give a PNG or JPEG file")
    return pixels


def png(pixels: Image) -> bytes:
    """Lossless PNG bytes; the same pixels make the same bytes."""
    done, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 6])
    assert done
    return data.tobytes()


def _draw(index: int) -> Image:
    """A shaded background with a little noise and a few shapes; 320 rows, 416 columns."""
    random = np.random.default_rng([_SEED, index])
    rows, columns = 320, 416
    slope = np.linspace(0, random.uniform(-60, 60), columns)[None, :, None]
    shade = np.linspace(0, random.uniform(-60, 60), rows)[:, None, None]
    base = random.uniform(60, 190, 3)[None, None, :] + slope + shade
    base = base + random.normal(0, random.uniform(0.2, 1.0), (rows, columns, 3))
    pixels = np.ascontiguousarray(np.clip(base, 0, 255).astype(np.uint8))
    for _ in range(int(random.integers(0, 9))):
        x, y = (int(v) for v in random.integers((0, 0), (columns, rows)))
        w, h = (int(v) for v in random.integers(8, 100, 2))
        colour = [int(v) for v in random.integers(0, 256, 3)]
        match int(random.integers(0, 3)):
            case 0:
                cv2.rectangle(pixels, (x, y), (x + w, y + h), colour, -1)
            case 1:
                cv2.ellipse(
                    pixels, (x, y), (w, h), float(random.uniform(0, 180)), 0, 360, colour, -1
                )
            case _:
                cv2.line(pixels, (x, y), (x + w, y + h), colour, int(random.integers(1, 6)))
    return pixels
