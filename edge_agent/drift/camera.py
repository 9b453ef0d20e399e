"""One camera of one release: frames in, blocks out, and what of both is kept on disk."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from edge_agent.clerk import AtOnce, Disk
from edge_agent.detection.decode import Floats
from edge_agent.drift.budget import Seat
from edge_agent.drift.gathering import Gathering
from edge_agent.drift.grouping import BLOCK
from edge_agent.drift.history import FIRST_SAMPLES, Block, History
from edge_agent.drift.layout import values_of
from edge_agent.drift.memory import Memory
from edge_agent.drift.sampling import Spacing
from edge_agent.drift.verdict import LEAST_SAMPLES
from edge_agent.errors import StorageError
from edge_agent.gate.statistics import Statistics

log = logging.getLogger(__name__)
KEEP_S = 60.0
"""From one writing of the block that fills to the next: what a power cut may cost, and 1,440
writes of a few kB a day."""
_PACE_OF = ("luminance", "contrast", "detections_per_frame", "score")
"""Statistics that every frame has, by which it is learnt how long frames resemble each other."""
_Read = TypeVar("_Read")


@dataclass(frozen=True)
class Glance:
    """One frame as the drift sees it.

    Attributes:
        detections: (n, 6), down to the decode floor.
        size: width and height of the picture in pixels.
        statistics: of the picture, None where there is no gate.
        ssim: likeness to the reference, None without one.
        seq: number of the frame.
        at: wall-clock seconds at which it was captured.
        embedded: features of its embedding; empty without one.
    """

    detections: Floats
    size: tuple[int, int]
    statistics: Statistics | None
    ssim: float | None
    seq: int
    at: float
    embedded: Mapping[str, float] = field(default_factory=dict)

    def values(self, confidence: float) -> dict[str, float]:
        """Its value of each feature (`values_of`), with detections reported from `confidence`."""
        return values_of(
            self.detections,
            confidence=confidence,
            size=self.size,
            statistics=self.statistics,
            ssim=self.ssim,
            seq=self.seq,
            embedded=self.embedded,
        )


class CameraWatch:
    """One camera of one release.

    Args:
        camera: id.
        memory: where the history is kept; what is there is taken up.
        baseline_s: what the first baseline should cover at least.
        spacing_s: seconds between frames that count; None learns it.
        disk: who writes it there.

    Attributes:
        origin: what of it was known from before, in words.
        trouble: why something could not be written the last time, or "".
    """

    def __init__(
        self,
        camera: str,
        memory: Memory,
        baseline_s: float,
        spacing_s: float | None,
        *,
        disk: Disk | None = None,
    ) -> None:
        self.camera = camera
        self._memory = memory
        self._baseline_s = baseline_s
        self._disk = disk or AtOnce()
        known = _remembered(memory.read)
        self.history, remembered_s = known or (History.begin(memory.layout), None)
        filling = _remembered(lambda: memory.read_gathering(self.history.blocks))
        self._gathering, spaced_s = filling or (Gathering(memory.layout), None)
        known_s = next((s for s in (spacing_s, remembered_s, spaced_s) if s is not None), None)
        self.spacing = Spacing(known_s, len(_PACE_OF))
        self._next: float | None = None
        self._began: float | None = None
        self._full: list[Block] = []
        self._kept = (self._gathering.samples, float("-inf"))
        self.trouble = ""
        self.origin = self._origin(known is not None)

    def _origin(self, known: bool) -> str:
        if not known and not self._gathering.samples:
            return "this release and variant is new to it; what is usual is learnt anew"
        return f"remembers {self.history.blocks} blocks and {self._gathering.samples} frames"

    @property
    def progress(self) -> tuple[int, int]:
        """Sampled frames so far, and how many the next step needs: a baseline, then a verdict."""
        history = self.history
        if history.learning:
            return history.baseline.samples + self.waiting, FIRST_SAMPLES
        return min(LEAST_SAMPLES, history.samples + self.waiting), LEAST_SAMPLES

    @property
    def waiting(self) -> int:
        """Sampled frames that are in no block of the history yet."""
        return self._gathering.samples + BLOCK * len(self._full)

    @property
    def seat(self) -> Seat:
        """Its part in the sharing of the budget."""
        return Seat(self.history.chance, bool(self.history.standing.raised))

    def look(self, frame: Glance, confidence: float, now: float) -> bool:
        """Take a frame at a monotonic time; whether it counts."""
        if self.spacing.seconds is None:
            self.spacing.add(now, _pace_values(frame, confidence))
            return False
        if self._next is None and self._gathering.samples:
            # The last frame that counted was seen before the restart, perhaps just before it.
            self._next = now + self.spacing.seconds
        if self._next is not None and now < self._next:
            return False
        self._next = now + self.spacing.seconds
        if self._began is None:
            self._began = now - self._gathering.seconds
        values = frame.values(confidence)
        hour = time.localtime(frame.at).tm_hour
        self._gathering.add(values, hour, seconds=now - self._began, at=frame.at)
        if (block := self._gathering.full()) is not None:
            self._full.append(block)
            self._began = now
            self._kept = (0, self._kept[1])
        return True

    def take(self) -> list[Block]:
        """The full blocks, handed out once."""
        full, self._full = self._full, []
        return full

    def add(self, block: Block) -> bool:
        """Take a full block into the history; whether there is enough for a verdict."""
        return self.history.add(block, self._baseline_s)

    def keep(self) -> None:
        """Have the history written down as it is now."""
        memory = self._memory
        data = memory.encode(self.history, self.spacing.seconds)
        self._disk.do(f"drift {memory.path}", lambda: self._write(memory.write, data))

    def keep_gathering(self, gathering: Gathering) -> None:
        """Have the block that fills, of `due`, written down."""
        memory = self._memory
        data = memory.encode_gathering(gathering, self.history.blocks, self.spacing.seconds)
        name = f"drift {memory.gathering_path}"
        self._disk.do(name, lambda: self._write(memory.write_gathering, data))

    def due(self, now: float, *, at_once: bool) -> Gathering | None:
        """A copy of the block that fills, where it has grown and a minute has passed, or at once.

        Args:
            now: monotonic seconds.
            at_once: the agent ends: do not wait.
        """
        samples, at = self._kept
        if self._full or self._gathering.samples in (samples, 0):
            return None
        if now - at < KEEP_S and not at_once:
            return None
        self._kept = (self._gathering.samples, now)
        return self._gathering.copy()

    def _write(self, write: Callable[[bytes], None], data: bytes) -> None:
        """An errand; a disk that fails is told of and not raised."""
        try:
            write(data)
            self.trouble = ""
        except StorageError as error:
            self.trouble = f"{error}; what is usual for camera {self.camera} is not kept"


def _remembered(read: Callable[[], _Read | None]) -> _Read | None:
    """What was written down; a damaged file must not keep the device from inferring."""
    try:
        return read()
    except StorageError as error:
        log.error("%s", error)
        return None


def _pace_values(frame: Glance, confidence: float) -> list[float]:
    scores = frame.detections[:, 4]
    seen, nothing = frame.statistics, float("nan")
    return [
        seen.luminance if seen is not None else nothing,
        seen.contrast if seen is not None else nothing,
        float((scores > confidence).sum()),
        float(scores[0]) if len(scores) else 0.0,
    ]
