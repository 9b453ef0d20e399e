"""A ring of frames in POSIX shared memory, for a program that owns the camera: ``shm:NAME``.

The program is the writer; this file is all that it needs, and imports only the standard library::

    from edge_agent.sources.shm import Writer

    with Writer("line-1", slot_bytes=1920 * 1080 * 3) as ring:
        while camera.grab():
            ring.write(camera.pixels, width=1920, height=1080, format="BGR")

docs/formats.md describes the bytes for writers in other languages. The writer never waits: whoever
reads too slowly misses frames, and counts them.
"""

from __future__ import annotations

import fcntl
import os
import re
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path("/dev/shm")  # noqa: S108  where shm_open(3) puts its objects
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
MAGIC = b"OUTPOSTR"
VERSION = 1
SLOTS_MOST = 64
SLOT_BYTES_MOST = 1 << 28
RING = struct.Struct("<8sIIQQ")  # magic, version, slots, bytes per slot, number of the last frame
RING_BYTES = 64
HEAD_AT = 24
SLOT = struct.Struct("<QdIIIIQ")  # number, captured_at, width, height, row bytes, format, number
SLOT_HEADER = 64
END_AT = 32  # of the second number inside a slot's header
_LOOKS = 5
FORMATS = {  # id: bytes per pixel
    "BGR": (1, 3), "RGB": (2, 3), "GREY": (3, 1), "GREY16": (4, 2), "BGRA": (5, 4), "RGBA": (6, 4),
}  # fmt: skip


@dataclass(frozen=True)
class Pixels:
    """What a slot's header says of its picture."""

    number: int
    captured_at: float
    width: int
    height: int
    row_bytes: int
    format: int


class Writer:
    """Writes frames into a ring that the agent reads; one writer per name.

    Args:
        name: letters, digits, dot, dash, underscore.
        slot_bytes: bytes of the largest picture.
        slots: frames in the ring; 3 is enough unless the reader pauses.
        mode: of the file; 0o600 lets only the same user read.

    Raises:
        ValueError: a name or size that cannot be.
        OSError: the ring cannot be made; BlockingIOError when another writer lives.
    """

    def __init__(self, name: str, *, slot_bytes: int, slots: int = 4, mode: int = 0o600) -> None:
        if not NAME.fullmatch(name):
            raise ValueError(f"ring name {name!r} should be of letters, digits, dot, dash, _")
        if not 2 <= slots <= SLOTS_MOST or not 0 < slot_bytes <= SLOT_BYTES_MOST:
            raise ValueError(f"{slots} slots of {slot_bytes} bytes are not possible")
        self.path = FOLDER / name
        self.frames = 0
        self._slots = slots
        self._slot_bytes = SLOT_HEADER + -(-slot_bytes // 64) * 64
        _refuse_second_writer(self.path)
        fresh = FOLDER / f".{name}.new"
        self._fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # as long as we live
            os.fchmod(self._fd, mode)
            # Every page is taken now: memory that is short is an error here, not later.
            os.posix_fallocate(self._fd, 0, RING_BYTES + slots * self._slot_bytes)
            os.pwrite(self._fd, RING.pack(MAGIC, VERSION, slots, self._slot_bytes, 0), 0)
            os.rename(fresh, self.path)
        except BaseException:
            os.close(self._fd)
            fresh.unlink(missing_ok=True)
            raise

    def write(
        self,
        pixels: Any,
        *,
        width: int,
        height: int,
        format: str = "BGR",
        row_bytes: int = 0,
        captured_at: float | None = None,
    ) -> None:
        """Hand one picture over.

        Args:
            pixels: bytes, a memoryview or a C-contiguous array; rows from the top.
            width: in pixels.
            height: in pixels.
            format: one of `FORMATS`; GREY16 is little-endian.
            row_bytes: from one row to the next; 0 when they follow each other.
            captured_at: wall-clock seconds; now when None.

        Raises:
            ValueError: a format or size that does not fit the pixels or the ring.
        """
        code, pixel_bytes = FORMATS.get(format, (0, 0))
        row_bytes = row_bytes or width * pixel_bytes
        view = memoryview(pixels).cast("B")
        if not code or row_bytes < width * pixel_bytes or len(view) < row_bytes * height:
            raise ValueError(f"{len(view)} bytes are not {width} x {height} pixels of {format}")
        if len(view) > self._slot_bytes - SLOT_HEADER:
            raise ValueError(f"{len(view)} bytes do not fit into slots of this ring")
        number = self.frames + 1
        start = RING_BYTES + (number - 1) % self._slots * self._slot_bytes
        at = time.time() if captured_at is None else captured_at
        # A reader believes a slot whose two numbers are the same, before and after it copied.
        header = SLOT.pack(number, at, width, height, row_bytes, code, 0)
        os.pwrite(self._fd, header, start)
        os.pwrite(self._fd, view, start + SLOT_HEADER)
        os.pwrite(self._fd, number.to_bytes(8, "little"), start + END_AT)
        os.pwrite(self._fd, number.to_bytes(8, "little"), HEAD_AT)
        self.frames = number

    def close(self) -> None:
        """Remove the ring."""
        if self._fd >= 0:
            self.path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _refuse_second_writer(path: Path) -> None:
    """Raise BlockingIOError when the ring of this name has a living writer."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    try:
        for attempt in range(_LOOKS):
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if attempt == _LOOKS - 1:
                    raise
                time.sleep(0.01)  # a reader holds the lock for the moment of its own look
    finally:
        os.close(fd)
