"""``dir:PATH?fps=5&loop=1``: the pictures of a folder in the order of their names.

As fast as they are read unless ``fps`` is given. A picture that cannot be read is skipped and
counted. With ``loop=1`` the folder is listed again at the end.

With ``watch=1`` the source has no end: after the pictures that are there it gives new ones as they
are completed (``watch=new`` gives only those). With ``remove=1`` a picture is deleted once it was
read, so that a program may hand its frames over through a folder that never fills.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge_agent.detection.preprocess import Image
from edge_agent.errors import SourceError
from edge_agent.sources.base import Frame, Pacer, Spec
from edge_agent.sources.screen import ALPHA, UNREADABLE, Counter, to_bgr
from edge_agent.sources.watch import FolderWatch

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
PICTURE_BYTES_MOST = 1 << 28
# How a whole file begins, and what is near its end: pictures may carry a few bytes more.
_ENDS = {b"\xff\xd8": b"\xff\xd9", b"\x89P": b"IEND"}
_TAIL = 4096
_PNG_COLOUR_TYPE_AT = 25
_PNG_WITH_ALPHA = (4, 6)


class FolderSource:
    """Pictures of a folder, sorted by name.

    Args:
        path: the folder.
        camera: id for the frames.
        loop: begin again at the end.
        fps: frames per second; None gives them as fast as they are read.
        remove: delete each picture that was read.

    Raises:
        SourceError: no such folder, no picture in it, or none of them readable.
    """

    def __init__(
        self,
        path: Path,
        camera: str,
        *,
        loop: bool = False,
        fps: float | None = None,
        remove: bool = False,
    ) -> None:
        self.path = path
        self.camera = camera
        self.loop = loop
        self.finished = False
        self.skipped = Counter()
        self._pacer = Pacer(fps)
        self._seq = 0
        self._found_before = 0
        self._remove = remove
        self._todo = _pictures(path)

    def read(self) -> Frame | None:
        """Wait for the next picture (see `Source.read`)."""
        image = None if self._pacer.closed.is_set() else self._next()
        if image is None or not self._pacer.pace():
            return None
        self._seq += 1
        return Frame(image, time.time(), self._seq, self.camera)

    def close(self) -> None:
        """Wake a waiting `read`."""
        self._pacer.closed.set()

    def _next(self) -> Image | None:
        while not self.finished:
            while self._todo:
                image = take(self._todo.pop(0), self.skipped, remove=self._remove)
                if image is not None:
                    return image
            if self._seq == self._found_before:
                raise SourceError(f"{self.path}: none of its pictures can be read")
            self._found_before = self._seq
            self.finished = not self.loop
            self._todo = _pictures(self.path) if self.loop else []
        return None


class WatchedFolder:
    """Pictures of a folder as they are completed; it has no end.

    Args:
        path: the folder.
        camera: id for the frames.
        existing: whether pictures that are there already are given first.
        fps: frames per second at most; None gives them at once.
        remove: delete each picture that was read.

    Raises:
        SourceError: no such folder.
    """

    finished = False

    def __init__(
        self,
        path: Path,
        camera: str,
        *,
        existing: bool = True,
        fps: float | None = None,
        remove: bool = False,
    ) -> None:
        self.camera = camera
        self.skipped = Counter()
        self._watch = FolderWatch(path, is_picture, existing=existing)
        self._pacer = Pacer(fps)
        self._remove = remove
        self._seq = 0

    def read(self) -> Frame | None:
        """Wait for the next complete picture (see `Source.read`)."""
        while (path := self._watch.next(self._pacer.closed)) is not None:
            image = take(path, self.skipped, remove=self._remove)
            if image is not None and self._pacer.pace():
                self._seq += 1
                return Frame(image, time.time(), self._seq, self.camera)
        self._watch.close()
        return None

    def close(self) -> None:
        """Wake a waiting `read`."""
        self._pacer.closed.set()


def open_spec(spec: Spec, camera: str) -> FolderSource | WatchedFolder:
    """The factory of this kind (see `edge_agent.sources.open_source`)."""
    spec.allow(("loop", "fps", "watch", "remove"))
    path, fps = Path(spec.path), spec.rate("fps")
    loop, watch = spec.flag("loop"), spec.choice("watch", ("0", "1", "new"))
    remove = spec.flag("remove")
    if loop and (watch != "0" or remove):
        raise SourceError(f'source "{spec.text}": loop=1 goes neither with watch nor with remove')
    if remove and path.is_dir() and not os.access(path, os.W_OK | os.X_OK):
        raise SourceError(f"{path}: remove=1 needs the permission to delete in this folder")
    if watch == "0":
        return FolderSource(path, camera, loop=loop, fps=fps, remove=remove)
    return WatchedFolder(path, camera, existing=watch == "1", fps=fps, remove=remove)


def read_picture(path: Path) -> Image | None:
    """One picture as (H, W, 3) BGR uint8, turned as its EXIF says; None when it is not one."""
    try:
        data = np.fromfile(path, np.uint8)
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except (OSError, cv2.error):
        return None
    return None if picture is None else np.asarray(picture, np.uint8)


def take(path: Path, outcomes: Counter, *, remove: bool) -> Image | None:
    """A picture as BGR, turned as its EXIF says; None, and counted, when it is not a whole one.

    Either way it is deleted when ``remove`` says so.
    """
    picture: npt.NDArray[Any] | None = None
    with contextlib.suppress(OSError, cv2.error, MemoryError):
        if path.is_file() and path.stat().st_size <= PICTURE_BYTES_MOST:
            data = np.fromfile(path, np.uint8)
            if _whole(data):
                picture = cv2.imdecode(data, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
            if picture is not None and _png_alpha(data):
                outcomes.add(ALPHA)
    if remove:
        with contextlib.suppress(OSError):
            path.unlink()
    if picture is None:
        outcomes.add(UNREADABLE)
        return None
    return to_bgr(picture, outcomes.add)


def is_picture(name: str) -> bool:
    """Whether a name is that of a picture; names that begin with a dot are not ready."""
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def _whole(data: npt.NDArray[np.uint8]) -> bool:
    """Decoders fill what is missing of a JPEG with grey; here such a picture is none."""
    end = _ENDS.get(data[:2].tobytes(), b"")
    return data.size > _PNG_COLOUR_TYPE_AT and end in data[-_TAIL:].tobytes()


def _png_alpha(data: npt.NDArray[np.uint8]) -> bool:
    """Whether a PNG has an alpha channel, which decoding left away (PNG specification, IHDR)."""
    return data[:4].tobytes() == b"\x89PNG" and int(data[_PNG_COLOUR_TYPE_AT]) in _PNG_WITH_ALPHA


def _pictures(path: Path) -> list[Path]:
    try:
        found = sorted(item for item in path.iterdir() if is_picture(item.name))
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}; correct the camera's source") from None
    if not found:
        raise SourceError(f"{path}: no picture in this folder ({', '.join(SUFFIXES)})")
    return found
