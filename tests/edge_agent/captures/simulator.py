"""A disk in memory that can be full, refuse or hang, and frames with verdicts to put on it.

::

    disk = SimulatedDisk(capacity=100_000)
    store = Store(disk, most_bytes=50_000, reserve_bytes=0)
    disk.refusal = errno.EROFS       # every write is refused from now on
    with disk.hanging():             # every write waits until the block ends
        ...

`SimulatedDisk` implements `edge_agent.captures.disk.Disk`; the battery in test_disk.py runs on it
and on the real folder alike.
"""

from __future__ import annotations

import errno
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edge_agent.bundle import Bundle
from edge_agent.captures.disk import TAIL, Entry
from edge_agent.captures.record import FrameId, GateScores, Record, Release
from edge_agent.captures.ring import on_disk
from edge_agent.detection.detector import Result
from edge_agent.errors import storage_errors
from edge_agent.gate import Verdict
from edge_agent.gate.statistics import Statistics
from edge_agent.loop.seen import Seen
from edge_agent.sources import Frame

CLASSES = ("scratch", "dent")


class SimulatedDisk:
    """See the module's docstring."""

    def __init__(self, capacity: int = 1 << 40):
        self.capacity = capacity
        self.files: dict[str, bytes] = {}
        self.modified: dict[str, float] = {}
        self.refusal = 0
        self.entered = threading.Semaphore(0)
        self._flows = threading.Event()
        self._flows.set()

    @contextmanager
    def hanging(self):
        """Whoever touches the disk in this block waits for its end."""
        self._flows.clear()
        try:
            yield
        finally:
            self._flows.set()

    def prepare(self) -> None:
        self._touch()

    def entries(self):
        self._touch()
        for name, data in list(self.files.items()):
            yield Entry(name, len(data), self.modified.get(name, time.time()))

    def tail(self, name: str) -> bytes:
        return self.files[name][-TAIL:]

    def write(self, name: str, data: bytes) -> None:
        self._touch()
        with storage_errors(Path(name)):
            if self.refusal:
                raise OSError(self.refusal, "refused", name)
            if on_disk(len(data)) > self.free():
                raise OSError(errno.ENOSPC, "full", name)
        self.files[name] = data
        self.modified[name] = time.time()

    def remove(self, names: tuple[str, ...]) -> None:
        self._touch()
        with storage_errors(Path(names[0])):
            if self.refusal:
                raise OSError(self.refusal, "refused", names[0])
        for name in names:
            self.files.pop(name, None)

    def free(self) -> int:
        return self.capacity - sum(on_disk(len(data)) for data in self.files.values())

    def _touch(self) -> None:
        self.entered.release()
        self._flows.wait()


def record(camera: str = "top", reason: str = "check", **changes) -> Record:
    """What a sidecar could say."""
    values = {
        "frame": FrameId("cell-3", camera, "b00c", 7, 1_795_558_982.632),
        "release": Release("defects", 2, "d" * 64, CLASSES, 0.25, {}, 0.05),
        "reason": reason,
        "also": (),
        "text": "lens blurred",
        "evidence": {"checks": "blur", "score": 0.27},
        "width": 64,
        "height": 48,
        "masked": False,
        "detections": ((1.0, 2.0, 30.5, 40.25, 0.9, 0), (3.0, 4.0, 5.0, 6.0, 0.06, 1)),
        "gate": GateScores(True, "SSIM 0.92", {"ssim": 0.92}),
    }
    return Record(**(values | changes))


def picture(size: int = 1000) -> bytes:
    """Bytes that end as a JPEG does."""
    return b"\xff\xd8" + bytes(size - 4) + b"\xff\xd9"


def verdict(*, passed: bool = True, text: str = "SSIM 0.92") -> Verdict:
    """What the gate could say."""
    return Verdict(passed, 0.92 if passed else 0.3, Statistics(0.5, 0.1, 2.0, 0.05, 0.1), text)


def rows(*scores: float, class_id: int = 0, box=(10.0, 10.0, 20.0, 20.0)) -> np.ndarray:
    """Detections of these scores, best first."""
    made = np.zeros((len(scores), 6), np.float32)
    made[:, :4] = box
    made[:, 4] = scores
    made[:, 5] = class_id
    return made


@dataclass
class LoadedLike:
    """What listeners read of a loaded release."""

    bundle: Bundle
    digest: str
    model: str = "tiny"

    @property
    def limit(self) -> float:
        """No class has a threshold of its own."""
        return self.bundle.manifest.decode.confidence


@dataclass
class Frames:
    """Makes one judged frame after another."""

    bundle: Bundle
    camera: str = "top"
    size: tuple[int, int] = (48, 64)
    seq: int = 0
    noise: np.random.Generator = field(default_factory=lambda: np.random.default_rng(3))

    def seen(self, detections=None, *, said: Verdict | None = None) -> Seen:
        """One frame; detections None when the gate kept it from the model."""
        self.seq += 1
        image = self.noise.integers(1, 256, (*self.size, 3), dtype=np.uint8)
        result = None if detections is None else Result(detections, False, 1.0, 2.0, 1.0)
        frame = Frame(image, 1_795_558_982.0 + self.seq, self.seq, self.camera)
        loaded = LoadedLike(self.bundle, self.bundle.manifest.digest)
        return Seen(frame, said, result, loaded)
