"""``v4l2:0?width=1280&height=720&fps=30&fourcc=MJPG``: USB cameras and frame grabbers.

The path is a number (``/dev/video0``) or a file, e.g. ``v4l2:/dev/v4l/by-id/usb-…``, which keeps
its name when cameras are plugged in another order. What is asked for must be what the camera gives:
another size is refused, not scaled.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2

from edge_agent.errors import SourceError
from edge_agent.sources.base import Spec
from edge_agent.sources.live import LiveSource
from edge_agent.sources.screen import DAMAGED

if TYPE_CHECKING:
    from edge_agent.detection.preprocess import Image

_FOURCC_LETTERS = 4


class V4l2Source(LiveSource):
    """Frames of a V4L2 device through OpenCV, which writes them where they are wanted.

    Args:
        device: the device file.
        camera: id for the frames.
        width, height, fps, fourcc: asked of the driver; None leaves its own.
        opener: makes OpenCV's capture from the device's path.

    Raises:
        SourceError: no such device, not permitted, busy, or it does not give what is asked for.
    """

    def __init__(
        self,
        device: Path,
        camera: str,
        *,
        width: int | None = None,
        height: int | None = None,
        fps: float | None = None,
        fourcc: str = "",
        opener: Callable[[str], Any] | None = None,
    ) -> None:
        super().__init__(camera)
        self._device = device
        self._capture = (opener or _open)(str(device))
        if not self._capture.isOpened():
            raise SourceError(
                f"{device}: cannot be opened as a camera; does another program use it?"
                f" (fuser -v {device})"
            )
        self._ask(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*fourcc) if fourcc else None)
        self._ask(cv2.CAP_PROP_FRAME_WIDTH, width)
        self._ask(cv2.CAP_PROP_FRAME_HEIGHT, height)
        self._ask(cv2.CAP_PROP_FPS, fps)
        self._size = given_width, given_height = self._given_size()
        if (width or given_width, height or given_height) != self._size:
            raise SourceError(
                f"{device}: gives {given_width} x {given_height} instead of {width or 'any'} x"
                f" {height or 'any'}; see v4l2-ctl -d {device} --list-formats-ext"
            )

    def picture(self) -> tuple[Image, float] | None:
        """The next picture (see `LiveSource.picture`)."""
        if not self._capture.grab():
            raise SourceError(f"{self._device}: gives no frame; is the camera unplugged?")
        taken_at = time.time()
        width, height = self._size
        given, image = self._capture.retrieve(self.buffers(height, width))
        if not given:
            self.skipped.add(DAMAGED)
            return None
        self._size = (image.shape[1], image.shape[0])
        return image, taken_at

    def let_go(self) -> None:
        """Close the device."""
        self._capture.release()

    def _ask(self, what: int, value: float | None) -> None:
        if value is not None:
            self._capture.set(what, value)

    def _given_size(self) -> tuple[int, int]:
        width = self._capture.get(cv2.CAP_PROP_FRAME_WIDTH)
        return int(width), int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT))


def open_spec(spec: Spec, camera: str) -> V4l2Source:
    """The factory of this kind (see `edge_agent.sources.open_source`)."""
    spec.allow(("width", "height", "fps", "fourcc"))
    device = Path(f"/dev/video{spec.path}" if spec.path.isdigit() else spec.path)
    fourcc = spec.options.get("fourcc", "")
    if fourcc and not (fourcc.isascii() and len(fourcc) == _FOURCC_LETTERS):
        raise SourceError(f'source "{spec.text}": fourcc should be four letters, e.g. MJPG')
    width, height = (
        spec.whole(name, None, most=32768) if name in spec.options else None
        for name in ("width", "height")
    )
    _check_device(device)
    return V4l2Source(
        device, camera, width=width, height=height, fps=spec.rate("fps"), fourcc=fourcc
    )


def _check_device(device: Path) -> None:
    try:
        kind = device.stat().st_mode
    except OSError as error:
        raise SourceError(
            f"{device}: {error.strerror}; plug the camera in, or list them: v4l2-ctl --list-devices"
        ) from None
    if not stat.S_ISCHR(kind):
        raise SourceError(f"{device}: is not a device; name /dev/videoN, or use file: for a video")
    if not os.access(device, os.R_OK | os.W_OK):
        raise SourceError(
            f"{device}: not permitted for user {os.getuid()}; add the service's user to the group"
            " video"
        )


def _open(device: str) -> Any:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    return cv2.VideoCapture(device, cv2.CAP_V4L2)
