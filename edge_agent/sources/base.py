"""What a source is, how its text is read, and how a recording is played at the speed of life."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from urllib.parse import parse_qsl

from edge_agent.checked import nearest
from edge_agent.errors import SourceError

if TYPE_CHECKING:  # capture processes shall not pay for what a detector imports
    from edge_agent.detection.preprocess import Image

POLICIES = ("wait", "drop-oldest", "drop-latest")
STREAMS = ("rtsp", "rtsps", "http", "https")
_SECRETS = re.compile(r"(?<=//)[^/@\s]+(?=@)|(?<=user-pw=)\S+")


@dataclass(frozen=True)
class Frame:
    """One picture of one camera.

    Attributes:
        image: (H, W, 3) BGR uint8; the receiver owns it.
        captured_at: wall-clock seconds.
        seq: counts from 1 per opened source; a gap is a frame that was let go.
        camera: id of the camera.
    """

    image: Image
    captured_at: float
    seq: int
    camera: str


class Source(Protocol):
    """A camera, or something that stands in for one. `read` is called from one thread."""

    @property
    def skipped(self) -> Mapping[str, int]:
        """Pictures that were not given, or not as they came, by outcome (`sources.screen`)."""
        ...

    @property
    def finished(self) -> bool:
        """Whether the end was reached; a live camera never is."""
        ...

    def read(self) -> Frame | None:
        """Wait for the next frame; None at the end or after `close`.

        Raises:
            SourceError: when the source is lost, with what to look at.
        """
        ...

    def close(self) -> None:
        """Let go of it; may be called from any thread, and wakes a `read` that waits its turn."""
        ...


Buffers = Callable[[int, int], "Image"]
"""Gives the memory for a picture: (height, width) -> (height, width, 3) uint8, not cleared."""


def redacted(text: str) -> str:
    """The same text without the passwords of URLs and pipelines, fit for logs and events."""
    return _SECRETS.sub("***", text)


@dataclass(frozen=True)
class Spec:
    """The text of a source, taken apart.

    Options come after the last ``?``. A stream's own address may have those, so its options come
    after ``#``; a pipeline has none, it is taken as it stands.
    """

    text: str
    scheme: str
    path: str
    options: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> Spec:
        """Read ``scheme:path?option=value&…``; raises `SourceError`."""
        scheme, colon, rest = text.partition(":")
        mark = "#" if scheme in STREAMS else "?"
        path, query = rest, ""
        if mark in rest and scheme != "gst":
            path, _, query = rest.rpartition(mark)
        if not colon or not path.strip():
            raise SourceError(
                f'source "{redacted(text)}" should look like file:clip.mp4, dir:pictures, v4l2:0'
                " or rtsp://camera/stream"
            )
        return cls(text, scheme, path, dict(parse_qsl(query, keep_blank_values=True)))

    def allow(self, known: Iterable[str], *, prefix: str | None = None) -> None:
        """Refuse options that this kind of source does not have."""
        names = tuple(known)
        for name in self.options:
            if name not in names and not (prefix and name.startswith(prefix)):
                raise self._fault(
                    f'"{name}" is not an option (there are {", ".join(names)})'
                    f"{nearest(name, names)}"
                )

    def flag(self, name: str) -> bool:
        """An option that is 1 or 0; 0 when absent."""
        return self.choice(name, ("0", "1"), wanted="0 or 1") == "1"

    def rate(self, name: str) -> float | None:
        """An option that is a number of frames per second; None when absent."""
        return self._number(name, 0.01, 1000, "frames per second") if name in self.options else None

    def seconds(self, name: str, default: float) -> float:
        """An option that is a time in seconds."""
        return self._number(name, 0.1, 3600, "seconds") if name in self.options else default

    def whole(self, name: str, default: int | None, *, least: int = 1, most: int = 65535) -> int:
        """An option that is a whole number; with no default it must be there."""
        value = self.options.get(name)
        if value is None and default is not None:
            return default
        if value is None or not value.isascii() or not value.isdigit() or len(value) > 9:
            raise self._fault(f"{name} should be a whole number, is {_said(value)}")
        if not least <= int(value) <= most:
            raise self._fault(f"{name} should be between {least} and {most}, is {value}")
        return int(value)

    def choice(self, name: str, choices: tuple[str, ...], *, wanted: str = "") -> str:
        """An option out of a closed set; the first one when absent."""
        value = self.options.get(name, choices[0])
        if value not in choices:
            wanted = wanted or f"one of {', '.join(choices)}"
            raise self._fault(f'{name} should be {wanted}, is "{value}"')
        return value

    def _number(self, name: str, least: float, most: float, unit: str) -> float:
        value = self.options[name]
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not least <= number <= most:
            raise self._fault(
                f'{name} should be {unit} between {least:g} and {most:g}, is "{value}"'
            )
        return number

    def _fault(self, sentence: str) -> SourceError:
        return SourceError(f'source "{redacted(self.text)}": {sentence}')


def _said(value: str | None) -> str:
    return "missing" if value is None else f'"{value}"'


class Pacer:
    """Holds a reader back to a frame rate; it does not hurry to make up for lost time.

    Args:
        fps: frames per second, None for as fast as possible.
        clock: monotonic seconds.
        wait: waits so many seconds; returns True when interrupted.
    """

    def __init__(
        self,
        fps: float | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self.closed = threading.Event()
        self.period_s = 0.0 if fps is None else 1.0 / fps
        self._clock = clock
        self._wait = wait or self.closed.wait
        self._due: float | None = None

    def pace(self) -> bool:
        """Wait until the next frame is due; False when closed meanwhile."""
        now = self._clock()
        due = now if self._due is None else self._due + self.period_s
        if due > now:
            self._wait(due - now)
        elif now - due > self.period_s:
            due = now
        self._due = due
        return not self.closed.is_set()
