"""What a source is, how its text is read, and how a recording is played at the speed of life."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import parse_qsl

from edge_agent.checked import nearest
from edge_agent.detection.preprocess import Image
from edge_agent.errors import SourceError


@dataclass(frozen=True)
class Frame:
    """One picture of one camera.

    Attributes:
        image: (H, W, 3) BGR uint8; the receiver owns it.
        captured_at: wall-clock seconds.
        seq: counts from 1 per opened source.
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
        """Pictures that could not be used, counted by reason."""
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


@dataclass(frozen=True)
class Spec:
    """The text of a source, taken apart."""

    text: str
    scheme: str
    path: str
    options: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> Spec:
        """Read ``scheme:path?option=value&…``; raises `SourceError`."""
        scheme, colon, rest = text.partition(":")
        path, _, query = rest.rpartition("?") if "?" in rest else (rest, "", "")
        if not colon or not path:
            raise SourceError(f'source "{text}" should look like file:clip.mp4 or dir:pictures')
        return cls(text, scheme, path, dict(parse_qsl(query, keep_blank_values=True)))

    def allow(self, known: Iterable[str]) -> None:
        """Refuse options that this kind of source does not have."""
        names = tuple(known)
        for name in self.options:
            if name not in names:
                raise SourceError(
                    f'source "{self.text}": "{name}" is not an option (there are'
                    f" {', '.join(names)}){nearest(name, names)}"
                )

    def flag(self, name: str) -> bool:
        """An option that is 1 or 0; 0 when absent."""
        value = self.options.get(name, "0")
        if value not in ("0", "1"):
            raise SourceError(f'source "{self.text}": {name} should be 0 or 1, is "{value}"')
        return value == "1"

    def rate(self, name: str) -> float | None:
        """An option that is a number of frames per second; None when absent."""
        value = self.options.get(name)
        if value is None:
            return None
        try:
            number = float(value)
        except ValueError:
            number = 0.0
        if not 0.01 <= number <= 1000:
            raise SourceError(
                f'source "{self.text}": {name} should be frames per second between 0.01 and 1000,'
                f' is "{value}"'
            )
        return number

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """An option out of a closed set; the first one when absent."""
        value = self.options.get(name, choices[0])
        if value not in choices:
            raise SourceError(
                f'source "{self.text}": {name} should be one of {", ".join(choices)}, is "{value}"'
            )
        return value


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
