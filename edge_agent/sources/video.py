"""``file:PATH?loop=1&fps=10&speed=real|max``: a recording played as if it were a camera.

Plays at the file's own frame rate (``fps`` sets another one, ``speed=max`` none). With ``loop=1``
it begins again at the end, and a file that was replaced under its name (a link that was switched,
another file moved there) is opened at once.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from edge_agent.detection.preprocess import Image
from edge_agent.errors import SourceError
from edge_agent.sources.base import Frame, Pacer, Spec

DEFAULT_FPS = 25.0
LOOK_EVERY_S = 1.0
REOPEN_WAITS_S = (0.1, 0.2, 0.4, 0.8, 1.6)

Identity = tuple[int, int]


class VideoSource:
    """Frames of a video file through OpenCV, at the pace of a camera.

    Args:
        path: the file.
        camera: id for the frames.
        loop: begin again at the end, and follow a file that is replaced.
        fps: frames per second; None takes the file's own.
        realtime: False gives frames as fast as they are read.
        clock: monotonic seconds.
        reopen_waits_s: pauses before each new attempt when the file is missing at a reopening.

    Raises:
        SourceError: missing, not a video, or without a frame.
    """

    def __init__(
        self,
        path: Path,
        camera: str,
        *,
        loop: bool = False,
        fps: float | None = None,
        realtime: bool = True,
        clock: Callable[[], float] = time.monotonic,
        reopen_waits_s: tuple[float, ...] = REOPEN_WAITS_S,
    ) -> None:
        self.path = path
        self.camera = camera
        self.loop = loop
        self.finished = False
        self.skipped: dict[str, int] = {}
        self._fps = fps
        self._clock = clock
        self._reopen_waits_s = reopen_waits_s
        self._seq = 0
        self._looked = clock()
        self._capture, self._first, self._identity = _open(path)
        rate = (fps or _frame_rate(self._capture)) if realtime else None
        self._pacer = Pacer(rate, clock=clock)

    @property
    def fps(self) -> float | None:
        """Frames per second at which it is played; None for as fast as possible."""
        return 1.0 / self._pacer.period_s if self._pacer.period_s else None

    def read(self) -> Frame | None:
        """Wait for the next frame (see `Source.read`)."""
        if self.finished or self._pacer.closed.is_set():
            return None
        if self._replaced():
            self._reopen()
        image = self._next()
        if image is None or not self._pacer.pace():
            return None
        self._seq += 1
        return Frame(image, time.time(), self._seq, self.camera)

    def close(self) -> None:
        """Wake a waiting `read`; the file is closed with the last reference to it."""
        self._pacer.closed.set()

    def _next(self) -> Image | None:
        image = self._take()
        if image is None and self.loop:
            self._reopen()
            image = self._take()
        self.finished = image is None
        return image

    def _take(self) -> Image | None:
        if self._first is not None:
            image, self._first = self._first, None
            return image
        good, picture = self._capture.read()
        return np.asarray(picture, np.uint8) if good else None

    def _replaced(self) -> bool:
        now = self._clock()
        if not self.loop or now - self._looked < LOOK_EVERY_S:
            return False
        self._looked = now
        identity = _identity(self.path)
        return identity is not None and identity != self._identity

    def _reopen(self) -> None:
        for wait_s in (*self._reopen_waits_s, None):
            try:
                self._capture, self._first, self._identity = _open(self.path)
                break
            except SourceError:
                if wait_s is None or self._pacer.closed.wait(wait_s):
                    raise
        if self._fps is None and self._pacer.period_s:
            self._pacer.period_s = 1.0 / _frame_rate(self._capture)


def open_spec(spec: Spec, camera: str) -> VideoSource:
    """The factory of this kind (see `edge_agent.sources.open_source`)."""
    spec.allow(("loop", "fps", "speed"))
    return VideoSource(
        Path(spec.path),
        camera,
        loop=spec.flag("loop"),
        fps=spec.rate("fps"),
        realtime=spec.choice("speed", ("real", "max")) == "real",
    )


def _identity(path: Path) -> Identity | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _open(path: Path) -> tuple[cv2.VideoCapture, Image | None, Identity | None]:
    """The opened file, its first frame (read to prove that there is one), which file it was."""
    if not path.is_file():
        kind = "is a folder; use dir: for pictures" if path.is_dir() else "no such file"
        raise SourceError(f"{path}: {kind}; correct the camera's source")
    identity = _identity(path)
    capture = _video_capture(path)
    if not capture.isOpened():
        raise SourceError(f"{path}: cannot be read as a video; is it complete, is it one?")
    good, picture = capture.read()
    if not good:
        raise SourceError(f"{path}: a video without a frame; record it again")
    return capture, np.asarray(picture, np.uint8), identity


def _video_capture(path: Path) -> cv2.VideoCapture:
    """OpenCV's reader, silenced: what it prints is said better by the caller."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    try:
        # An absolute path, so that no name is taken for a URL of FFmpeg's.
        return cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
    except cv2.error as error:
        raise SourceError(f"{path}: OpenCV refuses it: {error.err}") from None
    finally:
        cv2.utils.logging.setLogLevel(before)


def _frame_rate(capture: cv2.VideoCapture) -> float:
    rate = float(capture.get(cv2.CAP_PROP_FPS))
    return rate if math.isfinite(rate) and 0.01 <= rate <= 1000 else DEFAULT_FPS
