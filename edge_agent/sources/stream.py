"""``rtsp://…``, ``rtsps://…``, ``http://…``, ``https://…``: network cameras, through PyAV (FFmpeg).

Options come after ``#``, because an address may have a ``?`` of its own:
``rtsp://user:password@camera/stream?channel=1#transport=udp&timeout_s=5``

- ``transport``: ``tcp`` (default), ``udp``, ``udp_multicast``, ``http``; for rtsp
- ``timeout_s``: for opening and for each read (default 10)
- ``threads``: of the decoder (default 1; more add a frame of delay each)
- ``hwaccel``: a hardware decoder that this FFmpeg was built with, e.g. ``cuda``, ``drm``
- ``ffmpeg.NAME``: any other option of FFmpeg's demuxer, passed on as it is
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_agent.errors import SourceError
from edge_agent.sources.base import Spec, redacted
from edge_agent.sources.live import LiveSource
from edge_agent.sources.screen import DAMAGED

if TYPE_CHECKING:
    from edge_agent.detection.preprocess import Image

TRANSPORTS = ("tcp", "udp", "udp_multicast", "http")
TIMEOUT_S = 10.0
DAMAGED_MOST = 100
PIXELS_MOST = 1 << 26  # twice 8K; a damaged header must not ask for all memory
_PASSED_ON = "ffmpeg."
_NO_PYAV = (
    "network cameras need PyAV: pip install 'outpost-edge[stream]', or use GStreamer: "
    "gst:rtspsrc location=rtsp://… ! decodebin"
)


class StreamSource(LiveSource):
    """Frames of a network stream.

    Pictures for which the decoder had to guess are counted as damaged and not given: the first ones
    of a stream that is joined half-way are grey or black.

    Args:
        url: address, with user and password where needed.
        camera: id for the frames.
        timeout_s: for opening and for each read.
        options: of FFmpeg's demuxer.
        threads: of the decoder.
        hwaccel: name of a hardware decoder; empty for none.

    Raises:
        SourceError: PyAV is missing, or the stream cannot be opened.
    """

    def __init__(
        self,
        url: str,
        camera: str,
        *,
        timeout_s: float = TIMEOUT_S,
        options: dict[str, str] | None = None,
        threads: int = 1,
        hwaccel: str = "",
    ) -> None:
        super().__init__(camera)
        self._url = url
        self._av = _pyav()
        self._timeout_s = timeout_s
        self._hwaccel = hwaccel
        self._container = self._open(options or {})
        streams = self._container.streams.video
        if not streams:
            raise self._lost("holds no video")
        self._stream = streams[0]
        self._stream.codec_context.thread_count = threads
        self._stream.codec_context.options = {"max_pixels": str(PIXELS_MOST)}
        self._decoded = self._decode()
        self._damaged_in_a_row = 0

    def picture(self) -> tuple[Image, float] | None:
        """The next picture that is whole (see `LiveSource.picture`)."""
        began = time.monotonic()
        try:
            frame = next(self._decoded)
        except StopIteration:
            raise self._lost("the stream ended; is the camera switched off?") from None
        except self._av.InvalidDataError as error:
            self._damaged_in_a_row += 1
            if self._damaged_in_a_row >= DAMAGED_MOST:
                raise self._lost(self._reason(error, began)) from None
            self._decoded = self._decode()  # it goes on with the next packet
            self.skipped.add(DAMAGED)
            return None
        except self._av.FFmpegError as error:
            raise self._lost(self._reason(error, began)) from None
        self._damaged_in_a_row = 0
        if frame.is_corrupt:
            self.skipped.add(DAMAGED)
            return None
        taken_at = time.time()
        return self._bgr(frame), taken_at

    def let_go(self) -> None:
        """Close the connection."""
        self._container.close()

    def _decode(self) -> Iterator[Any]:
        decoded: Iterator[Any] = iter(self._container.decode(self._stream))
        return decoded

    def _bgr(self, frame: Any) -> Image:
        plane = frame.reformat(format="bgr24").planes[0]
        height, width, stride = plane.height, plane.width, plane.line_size
        rows = np.frombuffer(plane, np.uint8, height * stride).reshape(height, stride)
        image = self.buffers(height, width)
        np.copyto(image.reshape(height, width * 3), rows[:, : width * 3])
        return image

    def _open(self, options: dict[str, str]) -> Any:
        arguments: dict[str, Any] = {}
        if self._hwaccel:
            from av.codec.hwaccel import HWAccel, hwdevices_available

            known = hwdevices_available()
            if self._hwaccel not in known:
                raise self._lost(f"hwaccel {self._hwaccel} is not one of {', '.join(known)}")
            # Its pictures come back to the processor by themselves.
            arguments["hwaccel"] = HWAccel(self._hwaccel, allow_software_fallback=False)
        began = time.monotonic()
        try:
            return self._av.open(
                self._url, options=options, timeout=(self._timeout_s, self._timeout_s), **arguments
            )
        except (self._av.FFmpegError, RuntimeError, NotImplementedError) as error:
            raise self._lost(self._reason(error, began)) from None

    def _reason(self, error: Any, began: float) -> str:
        """What FFmpeg says, in one line; its own log knows more than its code."""
        if time.monotonic() - began >= self._timeout_s:  # its code is then any of several
            return f"no answer for {self._timeout_s:g} s"
        said = str(getattr(error, "strerror", None) or error).strip()
        logged = getattr(error, "log", None)
        detail = str(logged[2]).strip() if logged else ""
        if "ends prematurely" in detail:  # and some number of bytes that it should have had
            return "the connection was closed"
        return f"{said} ({detail})" if detail and detail != said else said

    def _lost(self, reason: str) -> SourceError:
        return SourceError(redacted(f"{self._url}: {' '.join(reason.split())}"))


def open_spec(spec: Spec, camera: str) -> StreamSource:
    """The factory of this kind (see `edge_agent.sources.open_source`)."""
    rtsp = spec.scheme in ("rtsp", "rtsps")
    known = ("transport",) if rtsp else ()
    spec.allow((*known, "timeout_s", "threads", "hwaccel"), prefix=_PASSED_ON)
    # Its frame rate is of no interest to us: not to wait for it saves 0.8 s of each opening.
    options = {"fflags": "nobuffer", "fpsprobesize": "1"}
    if rtsp:
        options["rtsp_transport"] = spec.choice("transport", TRANSPORTS)
    for name, value in spec.options.items():
        if name.startswith(_PASSED_ON):
            options[name.removeprefix(_PASSED_ON)] = value
    return StreamSource(
        f"{spec.scheme}:{spec.path}",
        camera,
        timeout_s=spec.seconds("timeout_s", TIMEOUT_S),
        options=options,
        threads=spec.whole("threads", 1, least=0, most=64),
        hwaccel=spec.options.get("hwaccel", ""),
    )


def _pyav() -> Any:
    try:
        import av
        import av.logging
    except ImportError:
        raise SourceError(_NO_PYAV) from None
    av.logging.set_level(av.logging.ERROR)  # its errors then carry what FFmpeg logged
    libav = logging.getLogger("libav")
    libav.propagate = False  # and that is enough; it may hold passwords
    libav.addHandler(logging.NullHandler())
    return av
