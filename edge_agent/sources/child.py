"""A capture process: ``python -m edge_agent.sources.child FD PARENT CAMERA``.

Reads one source and hands its frames over by shared memory (`edge_agent.sources.handover`). It
lives as long as its parent: the kernel kills it with the thread that started it, also while a
driver does not return.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_agent.errors import OutpostError
from edge_agent.sources import Frame, Source, open_here
from edge_agent.sources.handover import (
    COUNTS,
    END,
    FRAME,
    GIVEN_BACK,
    LAYOUT,
    LOST,
    MEMORY,
    PICTURE,
    make_memory,
)
from edge_agent.sources.live import LiveSource, new_picture
from edge_agent.sources.screen import NO_SLOT, Counter, to_bgr

if TYPE_CHECKING:
    from edge_agent.detection.preprocess import Image

TELL_COUNTS_S = 1.0
WORDS_MOST = 1000
_PR_SET_PDEATHSIG = 1


class ParentGone(Exception):
    """The parent closed the socket."""


class Lender:
    """The slots as the child sees them.

    Args:
        link: to the parent.
        slots: how many there are.
        hold: whether to wait for a free slot instead of letting a frame go.
    """

    def __init__(self, link: socket.socket, *, slots: int, hold: bool) -> None:
        self.counts = Counter()
        self._link = link
        self._slots = slots
        self._hold = hold
        self._generation = 0
        self._slot_bytes = 0
        self._memory: Any = None
        self._free: list[int] = []
        self._slot: int | None = None  # the one that the next picture is written into
        self._array: Image | None = None

    def buffer(self, height: int, width: int) -> Image:
        """Memory for the next picture: a free slot, or memory of its own when there is none."""
        need = height * width * 3
        if not need:
            return new_picture(height, width)  # the look that each frame gets will name it
        if need > self._slot_bytes:
            self._grow(need)
        if self._slot is None:
            self._slot = self._take()
        if self._slot is None:
            self._array = None
            return new_picture(height, width)
        start = self._slot * self._slot_bytes
        view = np.frombuffer(self._memory, np.uint8, need, start)
        self._array = view.reshape(height, width, 3)
        return self._array

    def send(self, frame: Frame) -> None:
        """Hand a frame over; copied, unless its picture was written into a slot."""
        image = to_bgr(frame.image, self.counts.add)
        if image is None:
            return
        height, width = image.shape[:2]
        if image is not self._array:
            target = self.buffer(height, width)
            if self._slot is not None:
                np.copyto(target, image)
        if self._slot is None:
            self.counts.add(NO_SLOT)
            return
        slot, self._slot, self._array = self._slot, None, None
        self._link.send(
            PICTURE.pack(FRAME, self._generation, slot, width, height, frame.captured_at, frame.seq)
        )

    def _take(self) -> int | None:
        """A free slot or None; the one given back last, so that few are touched."""
        while True:
            self._collect(wait=self._hold and not self._free)
            if self._free or not self._hold:
                return self._free.pop() if self._free else None

    def _collect(self, *, wait: bool) -> None:
        while select.select([self._link], [], [], None if wait else 0)[0]:
            packet = self._link.recv(GIVEN_BACK.size)
            if not packet:
                raise ParentGone
            generation, slot = GIVEN_BACK.unpack(packet)
            if generation == self._generation:
                self._free.append(slot)
            wait = False

    def _grow(self, need: int) -> None:
        """New memory with slots of whole pages; the old goes with the frames that are in it."""
        self._slot_bytes = -(-need // 4096) * 4096
        self._generation += 1
        fd, self._memory = make_memory(self._slots, self._slot_bytes)
        layout = LAYOUT.pack(MEMORY, self._generation, self._slots, self._slot_bytes)
        socket.send_fds(self._link, [layout], [fd])
        os.close(fd)
        self._slot, self._array = None, None
        self._free = list(range(self._slots))


def bring(source: Source, lender: Lender, link: socket.socket) -> None:
    """Hand over every frame until the end; raises what the source raises."""
    told: dict[str, int] = {}
    tell_at = 0.0
    going = True
    while going:
        going = _one(source, lender)
        now = time.monotonic()
        if now >= tell_at or not going:
            counts = _sum(source.skipped, lender.counts)
            if counts != told:
                link.send(COUNTS + json.dumps(counts).encode())
            told, tell_at = counts, now + TELL_COUNTS_S
    link.send(END)


def _one(source: Source, lender: Lender) -> bool:
    frame = source.read()
    if frame is not None:
        lender.send(frame)
    return frame is not None


def _sum(*tallies: Any) -> dict[str, int]:
    whole: dict[str, int] = {}
    for tally in tallies:
        for name, count in tally.items():
            whole[name] = whole.get(name, 0) + count
    return whole


def die_with(parent: int) -> None:
    """Have the kernel end this process with its parent; `prctl(2)`, PR_SET_PDEATHSIG."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it went before we asked
        os._exit(0)


def main(arguments: Sequence[str]) -> int:
    """The process: 0 at the end and when the parent is gone, 6 when the source is lost."""
    die_with(int(arguments[1]))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # they are for the parent, who decides
    link = socket.socket(fileno=int(arguments[0]))
    request = json.loads(link.recv(65536) or b"{}")
    if not request:
        return 0
    try:
        _serve(request, link)
    except (ParentGone, BrokenPipeError, ConnectionResetError):
        return 0
    except OutpostError as error:
        return _lost(link, str(error), error.exit_code)
    except Exception as error:  # a driver may raise anything; the parent must learn of it
        return _lost(link, f"{type(error).__name__} while reading a frame: {error}", 70)
    return 0


def _serve(request: dict[str, Any], link: socket.socket) -> None:
    camera = request["camera"]
    lender = Lender(link, slots=request["slots"], hold=request["hold"])
    source = open_here(request["source"], camera)
    if isinstance(source, LiveSource):
        source.buffers = lender.buffer
    try:
        bring(source, lender, link)
    finally:
        source.close()
        if isinstance(source, LiveSource):
            source.release()


def _lost(link: socket.socket, reason: str, code: int) -> int:
    try:
        link.send(LOST + reason.encode()[:WORDS_MOST])
    except OSError:
        return 0
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
