"""``dir:PATH?fps=5&loop=1``: the pictures of a folder in the order of their names.

As fast as they are read unless ``fps`` is given. A picture that cannot be read is skipped and
counted. With ``loop=1`` the folder is listed again at the end.
"""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np

from edge_agent.detection.preprocess import Image
from edge_agent.errors import SourceError
from edge_agent.sources.base import Frame, Pacer, Spec

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
UNREADABLE = "unreadable picture"


class FolderSource:
    """Pictures of a folder, sorted by name.

    Raises:
        SourceError: no such folder, no picture in it, or none of them readable.
    """

    def __init__(
        self, path: Path, camera: str, *, loop: bool = False, fps: float | None = None
    ) -> None:
        self.path = path
        self.camera = camera
        self.loop = loop
        self.finished = False
        self.skipped: dict[str, int] = {}
        self._pacer = Pacer(fps)
        self._seq = 0
        self._found_before = 0
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
                if (image := read_picture(self._todo.pop(0))) is not None:
                    return image
                self.skipped[UNREADABLE] = self.skipped.get(UNREADABLE, 0) + 1
            if self._seq == self._found_before:
                raise SourceError(f"{self.path}: none of its pictures can be read")
            self._found_before = self._seq
            self.finished = not self.loop
            self._todo = _pictures(self.path) if self.loop else []
        return None


def open_spec(spec: Spec, camera: str) -> FolderSource:
    """The factory of this kind (see `edge_agent.sources.open_source`)."""
    spec.allow(("loop", "fps"))
    return FolderSource(Path(spec.path), camera, loop=spec.flag("loop"), fps=spec.rate("fps"))


def read_picture(path: Path) -> Image | None:
    """One picture as (H, W, 3) BGR uint8, turned as its EXIF says; None when it is not one."""
    try:
        data = np.fromfile(path, np.uint8)
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except (OSError, cv2.error):
        return None
    return None if picture is None else np.asarray(picture, np.uint8)


def _pictures(path: Path) -> list[Path]:
    try:
        found = sorted(item for item in path.iterdir() if item.suffix.lower() in SUFFIXES)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}; correct the camera's source") from None
    if not found:
        raise SourceError(f"{path}: no picture in this folder ({', '.join(SUFFIXES)})")
    return found
