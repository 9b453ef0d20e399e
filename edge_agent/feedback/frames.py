"""Which frame, and what the device reported in it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from edge_agent.errors import UsageError
from edge_agent.metrics import DEVICE_PATTERN

FRAME_PATTERN = rf"({DEVICE_PATTERN})/([0-9a-f]{{1,32}})/([0-9]{{1,18}})"


@dataclass(frozen=True, order=True)
class FrameKey:
    """One frame of one device: ``seq`` counts per camera and agent process (``boot``)."""

    camera: str
    boot: str
    seq: int

    @classmethod
    def parse(cls, text: str) -> FrameKey:
        """Read ``CAMERA/BOOT/SEQ``.

        Raises:
            UsageError: it has another form.
        """
        match = re.fullmatch(FRAME_PATTERN, text)
        if match is None:
            raise UsageError(
                f'frame "{text}" should look like top/1f2e3d4c/123: camera, boot and number, as in'
                " up/detections and in the sidecars of captures"
            )
        return cls(match[1], match[2], int(match[3]))

    def __str__(self) -> str:
        return f"{self.camera}/{self.boot}/{self.seq}"


@dataclass(frozen=True)
class Box:
    """A detection, or an object that somebody marked.

    Attributes:
        name: of its class.
        x0, y0, x1, y1: pixels of the picture.
        score: 0..1; 1 for what a person marked.
    """

    name: str
    x0: float
    y0: float
    x1: float
    y1: float
    score: float = 1.0

    def overlap(self, other: Box) -> float:
        """Intersection over union, 0..1."""
        width = min(self.x1, other.x1) - max(self.x0, other.x0)
        height = min(self.y1, other.y1) - max(self.y0, other.y0)
        if width <= 0 or height <= 0:
            return 0.0
        common = width * height
        return common / (self.area + other.area - common)

    @property
    def area(self) -> float:
        """Square pixels."""
        return (self.x1 - self.x0) * (self.y1 - self.y0)


@dataclass(frozen=True)
class Detected:
    """What the device reported in one frame.

    Attributes:
        at: wall-clock seconds of capture.
        model, version: that judged it.
        classes: that this release knows, by id.
        boxes: best first; empty when nothing was reported.
    """

    key: FrameKey
    at: float
    model: str
    version: int
    classes: tuple[str, ...]
    boxes: tuple[Box, ...]

    def words(self) -> str:
        """What was reported, for a message."""
        names = [box.name for box in self.boxes]
        counts = {name: names.count(name) for name in dict.fromkeys(names)}
        return ", ".join(f"{count} {name}" for name, count in counts.items()) or "nothing"


def pick(
    boxes: Iterable[tuple[int, Box]], *, name: str = "", near: Box | None = None, least: float = 0.5
) -> tuple[int, ...]:
    """Which of numbered boxes are meant.

    Args:
        boxes: number and box.
        name: only those of this class; all when empty.
        near: only the one that overlaps most with this box, if it does by ``least``.
        least: intersection over union.
    """
    fitting = [(number, box) for number, box in boxes if name in ("", box.name)]
    if near is None:
        return tuple(number for number, _ in fitting)
    overlaps = [(box.overlap(near), -number) for number, box in fitting]
    best = max(overlaps, default=(0.0, 0))
    return (-best[1],) if best[0] >= least else ()
