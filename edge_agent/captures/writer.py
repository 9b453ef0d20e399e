"""The one thread that encodes and stores frames, so that no frame ever waits for the disk."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import cv2

from edge_agent.captures.masks import Hidden, blacken
from edge_agent.captures.reasons import BUSY, ERROR, FAILED, FULL, STUCK
from edge_agent.captures.record import Record
from edge_agent.captures.store import NoRoomError, Opened, Store
from edge_agent.detection.preprocess import Image
from edge_agent.errors import StorageError

WAITING_FRAMES = 4
WAITING_BYTES = 32_000_000
STUCK_S = 10.0
# Encoding yields to inference. Not lower: it sometimes holds the interpreter's lock, and whoever
# waits for that waits at this priority.
NICE = 10


@dataclass(frozen=True)
class Encoding:
    """How pictures become files: without EXIF, without a thumbnail.

    Attributes:
        suffix: ``jpg`` or ``png``.
        quality: of JPEG, 1..100.
    """

    suffix: str
    quality: int

    def encode(self, image: Image) -> bytes:
        """An (H, W, 3) BGR uint8 picture as the bytes of a file."""
        parameters = {
            "jpg": [cv2.IMWRITE_JPEG_QUALITY, self.quality],
            "png": [cv2.IMWRITE_PNG_COMPRESSION, 3],
        }[self.suffix]
        _, data = cv2.imencode(f".{self.suffix}", image, parameters)
        return data.tobytes()


@dataclass(frozen=True)
class Job:
    """A frame to keep.

    Attributes:
        hidden: pixels to blacken, None for none.
        at: monotonic seconds at which it was accepted.
    """

    image: Image
    hidden: Hidden | None
    record: Record
    at: float


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Attributes:
        refusal: "" when it is on the disk, else ``full``, ``failed`` or ``error``.
        text: the name of the capture, or what went wrong.
    """

    refusal: str
    text: str


class Writer:
    """Works in a daemon thread of low priority; a disk that hangs hangs only that.

    Args:
        store: opened by the thread, again after it refused.
        encoding: of the pictures.
        opened: told once what the store held.
        done: told what became of each job.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        store: Store,
        encoding: Encoding,
        *,
        opened: Callable[[Opened], None],
        done: Callable[[Job, Outcome], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._encoding = encoding
        self._opened = opened
        self._done = done
        self._clock = clock
        self._changed = threading.Condition()
        self._jobs: deque[Job] = deque()
        self._waiting_bytes = 0
        self._busy_since: float | None = None
        self._closing = False
        self._ready = False
        self._thread = threading.Thread(target=self._run, name="captures", daemon=True)

    def start(self) -> None:
        """Begin: open the store, then wait for jobs."""
        self._busy_since = self._clock()
        self._thread.start()

    def put(self, job: Job) -> str:
        """Take a job without waiting; "", or ``busy`` or ``stuck`` when there is no room for it."""
        with self._changed:
            size = self._waiting_bytes + job.image.nbytes
            crowded = len(self._jobs) >= WAITING_FRAMES or size > WAITING_BYTES
            if self._closing or (self._jobs and crowded):
                since = self._busy_since
                stuck = since is not None and self._clock() - since >= STUCK_S
                return STUCK if stuck else BUSY
            self._jobs.append(job)
            self._waiting_bytes = size
            self._changed.notify()
            return ""

    def close(self, timeout_s: float) -> bool:
        """Take no more, finish what waits; False when that took longer than the time given."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        _lower_priority()
        with suppress(OSError, StorageError):  # told with the first job that it costs
            self._open()
        while (job := self._next()) is not None:
            self._done(job, self._work(job))

    def _next(self) -> Job | None:
        with self._changed:
            self._busy_since = None
            self._changed.wait_for(lambda: self._jobs or self._closing)
            if not self._jobs:
                return None
            job = self._jobs.popleft()
            self._waiting_bytes -= job.image.nbytes
            self._busy_since = self._clock()
            return job

    def _open(self) -> None:
        if not self._ready:
            found = self._store.open()
            self._ready = True
            self._opened(found)

    def _work(self, job: Job) -> Outcome:
        try:
            self._open()
            image = job.image if job.hidden is None else blacken(job.image, job.hidden)
            data = self._encoding.encode(image)
            name = self._store.add(data, self._encoding.suffix, job.record, at=time.time())
        except NoRoomError as error:
            return Outcome(FULL, str(error))
        except (StorageError, OSError) as error:
            return Outcome(FAILED, str(error))
        except Exception as error:  # one odd frame must not end the thread
            return Outcome(ERROR, f"{type(error).__name__}: {error}")
        return Outcome("", name)


def _lower_priority() -> None:
    """Linux has priorities per thread; where there are none, nothing changes."""
    with suppress(OSError, AttributeError):
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, max(NICE, os.getpriority(os.PRIO_PROCESS, thread)))
