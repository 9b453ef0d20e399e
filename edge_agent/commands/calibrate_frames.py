"""Where the good frames of a calibration come from: the camera itself, or a folder of pictures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from edge_agent.config import Camera
from edge_agent.detection.preprocess import Image
from edge_agent.errors import SourceError
from edge_agent.gate.schema import unusable
from edge_agent.gate.view import View, look
from edge_agent.sources import Frame, Source, kind_of, open_source
from edge_agent.sources.base import Spec
from edge_agent.sources.capture import Capture
from edge_agent.sources.folder import FolderSource
from edge_agent.sources.screen import UNUSABLE

SETTLE_SHARE, SETTLE_MOST_S = 0.2, 120.0
SETTLE_FRAMES = 60
"""So many at least, if half of the time is enough for them."""
SILENCE_S = 30.0

OpenCamera = Callable[[Camera], Source]
"""Makes the source of a camera."""


def open_camera(camera: Camera) -> Source:
    """Its source as the agent opens it, but nothing of a hand-over is taken away."""
    text = camera.source.replace("remove=1", "remove=0")
    return open_source(text, camera.id, capture=camera.capture)


class Frames:
    """Frames to learn from: views of one size, others are left out and counted."""

    in_a_row = False
    source = ""
    fps: float | None = None

    def __init__(self) -> None:
        self.size: tuple[int, int] | None = None
        self.left_out = 0

    def settling(self, width: int) -> Iterator[View]:
        """Some frames that show what there is to see."""
        raise NotImplementedError

    def teaching(self, width: int) -> Iterator[View]:
        """The frames that limits are learnt from."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of the camera."""

    def _views(self, images: Iterable[Image], width: int) -> Iterator[View]:
        for image in images:
            if unusable(image):
                self.left_out += 1
                continue
            size = (image.shape[1], image.shape[0])
            self.size = self.size or size
            if size != self.size:
                self.left_out += 1
                continue
            yield look(image, width)


class FolderFrames(Frames):
    """The pictures of a folder, read twice."""

    def __init__(self, camera: Camera, path: Path) -> None:
        super().__init__()
        self._camera, self._path = camera, path
        self.source = f"pictures of {path.name}"

    def settling(self, width: int) -> Iterator[View]:
        """All of them."""
        yield from self._views(self._read(), width)
        self.left_out = 0  # the second reading counts them

    def teaching(self, width: int) -> Iterator[View]:
        """All of them again."""
        return self._views(self._read(), width)

    def _read(self) -> Iterator[Image]:
        source = FolderSource(self._path, self._camera.id)
        while (frame := source.read()) is not None:
            yield frame.image
        self.left_out += sum(source.skipped.get(outcome, 0) for outcome in UNUSABLE)


class LiveFrames(Frames):
    """What the camera gives for so many seconds; a recording that ends sooner begins again once."""

    in_a_row = True

    def __init__(self, camera: Camera, seconds: float, opener: OpenCamera) -> None:
        super().__init__()
        self.source = f"camera {camera.id}"
        self._camera, self._seconds, self._opener = camera, seconds, opener
        self._paced = _paced(camera.source)
        self._capture = self._open()
        self._began = time.monotonic()
        self._spans = [0.0, 0.0]  # frames and seconds between frames that came in order

    def settling(self, width: int) -> Iterator[View]:
        """The first part."""
        until_s = min(SETTLE_SHARE * self._seconds, SETTLE_MOST_S)
        most_s = self._seconds / 2
        for frames, view in enumerate(self._views(self._until(most_s), width), 1):
            yield view
            if frames >= SETTLE_FRAMES and time.monotonic() - self._began >= until_s:
                return

    def teaching(self, width: int) -> Iterator[View]:
        """The rest."""
        if self._capture.finished:
            self.close()
            self._capture = self._open()
        yield from self._views(self._until(self._seconds), width)
        frames, seconds = self._spans
        if self._paced and seconds > 0:
            self.fps = frames / seconds

    def close(self) -> None:
        """Stop reading."""
        self._capture.close(0.5)

    def _open(self) -> Capture:
        source = self._opener(self._camera)
        return Capture(source, policy="wait", size=4).start()

    def _until(self, seconds: float) -> Iterator[Image]:
        before: Frame | None = None
        while time.monotonic() - self._began < seconds:
            frame = self._capture.get(SILENCE_S)
            if frame is None and self._capture.finished:
                return
            if frame is None:
                raise SourceError(
                    f"camera {self._camera.id}: no frame for {SILENCE_S:.0f} s; see"
                    " `edge-agent doctor`"
                )
            if before is not None and frame.seq > before.seq:
                self._spans[0] += frame.seq - before.seq
                self._spans[1] += max(frame.captured_at - before.captured_at, 0.0)
            before = frame
            yield frame.image


def _paced(source: str) -> bool:
    """Whether a source has a rate of its own; files that are read as fast as they can have none."""
    if kind_of(source).live:
        return True
    spec = Spec.parse(source)
    return "fps" in spec.options if spec.scheme == "dir" else spec.options.get("speed") != "max"
