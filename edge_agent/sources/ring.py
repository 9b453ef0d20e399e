"""``shm:NAME``: frames that another program leaves in shared memory (`edge_agent.sources.shm`).

Read by system calls, never mapped: a ring that its writer cuts short is then a short read, not a
SIGBUS. Nothing in it is believed before it was checked, and only frames that come after the opening
are given.
"""

from __future__ import annotations

import fcntl
import math
import os
import stat
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_agent.errors import SourceError
from edge_agent.sources.base import Spec
from edge_agent.sources.live import LiveSource
from edge_agent.sources.screen import BAD_TIME, EMPTY, NO_PICTURE, OVERWRITTEN, SIZE_LIE, to_bgr
from edge_agent.sources.shm import (
    FOLDER,
    FORMATS,
    HEAD_AT,
    MAGIC,
    NAME,
    RING,
    RING_BYTES,
    SLOT,
    SLOT_BYTES_MOST,
    SLOT_HEADER,
    SLOTS_MOST,
    VERSION,
    Pixels,
)

if TYPE_CHECKING:
    from edge_agent.detection.preprocess import Image

POLL_S = 0.002
NAP_MOST_S = 0.05
IDLE_S = 0.25
CLOCK_OFF_MOST_S = 60.0
_NAMES = {code: name for name, (code, _) in FORMATS.items()}


class RingSource(LiveSource):
    """Frames out of a ring.

    Args:
        name: of the ring.
        camera: id for the frames.

    Raises:
        SourceError: there is no such ring, or it is none.
    """

    def __init__(self, name: str, camera: str) -> None:
        super().__init__(camera)
        if not NAME.fullmatch(name):
            raise SourceError(
                f'ring name "{name}" should be of letters, digits, dot, dash and underscore'
            )
        self._path = FOLDER / name
        self._fd = -1
        self._alive = False
        self._attach()
        self._last = self._head()  # what was there before us may be old
        self._came = self._looked = time.monotonic()
        self._period_s = 0.0

    def picture(self) -> tuple[Image, float] | None:
        """The next picture (see `LiveSource.picture`)."""
        head = self._head()
        if head == self._last:
            self._nap()
            return None
        if head < self._last or head - self._last >= self._slots:
            # Behind by the whole ring: its oldest slot is being written. On with the newest.
            self._count(OVERWRITTEN, max(head - self._last - 1, 0))
            self._last = head - 1
        self._last += 1
        now = time.monotonic()
        self._period_s = 0.9 * self._period_s + 0.1 * min(now - self._came, 1.0)
        self._came = now
        return self._take(self._last)

    def let_go(self) -> None:
        """Close the ring; it stays its writer's."""
        os.close(self._fd)

    def _take(self, number: int) -> tuple[Image, float] | None:
        start = RING_BYTES + (number - 1) % self._slots * self._slot_bytes
        pixels = self._header(start, number)
        if pixels is None:
            return None
        image = self._read(pixels, start + SLOT_HEADER)
        if self._header(start, number) is None:
            return None
        now = time.time()
        at = pixels.captured_at
        if not math.isfinite(at) or abs(at - now) > CLOCK_OFF_MOST_S:
            self.skipped.add(BAD_TIME)
            at = now
        image = None if image is None else to_bgr(image, self.skipped.add)
        return None if image is None else (image, at)

    def _header(self, start: int, number: int) -> Pixels | None:
        """A slot's header; None, and counted, when it holds no longer that frame."""
        data = os.pread(self._fd, SLOT.size, start)
        if len(data) < SLOT.size:
            raise self._lost("was cut short")
        *head, end = SLOT.unpack(data)
        if head[0] != number or end != number:
            self.skipped.add(OVERWRITTEN)
            return None
        return Pixels(*head)

    def _read(self, pixels: Pixels, start: int) -> Image | None:
        name = _NAMES.get(pixels.format)
        if name is None:
            self.skipped.add(NO_PICTURE)
            return None
        width, height, row_bytes = pixels.width, pixels.height, pixels.row_bytes
        if not width or not height:
            self.skipped.add(EMPTY)
            return None
        line = width * FORMATS[name][1]
        if row_bytes < line or row_bytes * height > self._slot_bytes - SLOT_HEADER:
            self.skipped.add(SIZE_LIE)
            return None
        if name == "BGR" and row_bytes == line:
            image = self.buffers(height, width)
            self._fill(image, start)
            return image
        raw = np.empty((height, row_bytes), np.uint8)
        self._fill(raw, start)
        return self._converted(raw[:, :line], name, height, width)

    def _fill(self, target: Any, start: int) -> None:
        if os.preadv(self._fd, [target], start) < target.nbytes:
            raise self._lost("was cut short")

    def _converted(self, rows: Any, name: str, height: int, width: int) -> Image:
        """Red first becomes blue first; `to_bgr` does the rest."""
        if name == "GREY":
            return np.asarray(rows, np.uint8)
        if name == "GREY16":
            words: Any = np.ascontiguousarray(rows).view("<u2")
            return words  # type: ignore[no-any-return]
        import cv2

        pixels = rows.reshape(height, width, -1)
        if name == "RGB":
            return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), np.uint8)
        if name == "RGBA":
            return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGRA), np.uint8)
        return np.asarray(pixels, np.uint8)

    def _nap(self) -> None:
        """Wait a little, most of the time until the next frame is expected."""
        now = time.monotonic()
        if now - self._came > IDLE_S and now - self._looked > IDLE_S:
            self._looked = now
            self._look_for_the_writer()
        due_s = self._came + 0.75 * self._period_s - now
        self.closed.wait(min(max(due_s, POLL_S), NAP_MOST_S))

    def _look_for_the_writer(self) -> None:
        """A new ring under the name is taken up; one whose writer died is removed.

        Raises:
            SourceError: there is no writer any more.
        """
        try:
            here, there = os.fstat(self._fd), self._path.stat()
        except FileNotFoundError:
            raise self._lost("is gone; start the program that writes it") from None
        if (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino):
            os.close(self._fd)
            self._attach()
            self._last = 0
        elif self._has_writer():
            self._alive = True
        elif self._alive:
            self._path.unlink(missing_ok=True)
            raise self._lost("has lost its writer; start that program again")

    def _has_writer(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        return False

    def _attach(self) -> None:
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            self._fd = os.open(self._path, flags)
        except OSError as error:
            raise self._lost(
                f"{error.strerror}; start the program that writes it, as this user"
            ) from None
        try:
            self._slots, self._slot_bytes = self._layout()
        except SourceError:
            os.close(self._fd)
            raise
        self._alive = self._has_writer()

    def _layout(self) -> tuple[int, int]:
        status = os.fstat(self._fd)
        data = os.pread(self._fd, RING.size, 0) if stat.S_ISREG(status.st_mode) else b""
        if len(data) < RING.size:
            raise self._lost("is not a ring of frames")
        magic, version, slots, slot_bytes, _ = RING.unpack(data)
        if magic != MAGIC or version != VERSION:
            raise self._lost(f"is not a ring of frames of version {VERSION}")
        if not 2 <= slots <= SLOTS_MOST or not SLOT_HEADER < slot_bytes <= SLOT_BYTES_MOST:
            raise self._lost(f"says {slots} slots of {slot_bytes} bytes, which cannot be")
        if status.st_size < RING_BYTES + slots * slot_bytes:
            raise self._lost(f"says {slots} slots of {slot_bytes} bytes, and is smaller")
        return slots, slot_bytes

    def _head(self) -> int:
        data = os.pread(self._fd, 8, HEAD_AT)
        if len(data) < 8:
            raise self._lost("was cut short")
        return int.from_bytes(data, "little")

    def _count(self, outcome: str, count: int) -> None:
        self.skipped[outcome] = self.skipped.get(outcome, 0) + count

    def _lost(self, what: str) -> SourceError:
        return SourceError(f"{self._path}: {what}")


def open_spec(spec: Spec, camera: str) -> RingSource:
    """The factory of this kind (see `edge_agent.sources.open_source`)."""
    spec.allow(())
    return RingSource(spec.path, camera)
