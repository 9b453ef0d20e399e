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

from edge_agent.captures.describe import Pick
from edge_agent.captures.masks import blacken
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
class Outcome:
    """What became of a pick.

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
        describe: makes the record of a pick.
        opened: told once what the store held.
        done: told what became of each pick.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        store: Store,
        encoding: Encoding,
        *,
        describe: Callable[[Pick], Record],
        opened: Callable[[Opened], None],
        done: Callable[[Pick, Outcome], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._encoding = encoding
        self._describe = describe
        self._opened = opened
        self._done = done
        self._clock = clock
        self._changed = threading.Condition()
        self._picks: deque[Pick] = deque()
        self._waiting_bytes = 0
        self._busy_since: float | None = None
        self._closing = False
        self._ready = False
        self._thread = threading.Thread(target=self._run, name="captures", daemon=True)

    def start(self) -> None:
        """Begin: open the store, then wait for picks."""
        self._busy_since = self._clock()
        self._thread.start()

    def put(self, pick: Pick) -> str:
        """Take a frame without waiting; ``busy`` or ``stuck`` when there is no room, else ""."""
        with self._changed:
            size = self._waiting_bytes + pick.frame.image.nbytes
            crowded = len(self._picks) >= WAITING_FRAMES or size > WAITING_BYTES
            if self._closing or (self._picks and crowded):
                since = self._busy_since
                stuck = since is not None and self._clock() - since >= STUCK_S
                return STUCK if stuck else BUSY
            self._picks.append(pick)
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
        with suppress(OSError, StorageError):  # told with the first frame that it costs
            self._open()
        while (pick := self._next()) is not None:
            self._done(pick, self._work(pick))

    def _next(self) -> Pick | None:
        with self._changed:
            self._busy_since = None
            self._changed.wait_for(lambda: self._picks or self._closing)
            if not self._picks:
                return None
            pick = self._picks.popleft()
            self._waiting_bytes -= pick.frame.image.nbytes
            self._busy_since = self._clock()
            return pick

    def _open(self) -> None:
        if not self._ready:
            found = self._store.open()
            self._ready = True
            self._opened(found)

    def _work(self, pick: Pick) -> Outcome:
        try:
            self._open()
            image = pick.frame.image
            shown = image if pick.hidden is None else blacken(image, pick.hidden)
            data, record = self._encoding.encode(shown), self._describe(pick)
            name = self._store.add(data, self._encoding.suffix, record, at=time.time())
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
