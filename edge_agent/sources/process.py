"""A source that is read in a process of its own, so that a hung driver can be killed.

The child (`edge_agent.sources.child`) writes pictures into shared memory and announces them over a
socket; see `edge_agent.sources.handover`. Whoever dies, the other one learns of it by the socket's
end, and the memory goes with the last of them.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading

from edge_agent.errors import SourceError
from edge_agent.sources.base import Frame, redacted
from edge_agent.sources.handover import (
    COUNTS,
    END,
    FRAME,
    GIVEN_BACK,
    LAYOUT,
    LOST,
    MEMORY,
    PACKET_MOST,
    PICTURE,
    Memory,
)

GRACE_S = 0.2
KILLED_S = 1.0
SLOTS_BEYOND_QUEUE = (
    5  # judged, overlapped with it, looked at, written; untouched ones cost nothing
)
QUEUED_MOST = 4  # of a longer queue the rest is copied
WORDS_MOST = 2000
_QUIET = {
    "OPENBLAS_NUM_THREADS": "1",  # threads of a library that nobody uses there
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
}
log = logging.getLogger(__name__)


class ProcessSource:
    """Frames of a source that another process reads.

    Args:
        text: the source's text.
        camera: id for the frames.
        queue: frames that may wait at the receiver.
        hold: whether the child waits for a free slot instead of letting frames go.

    Attributes:
        skipped: as the child's source and the hand-over count them.
        finished: whether the source came to its end.
        pid: of the child.
    """

    def __init__(self, text: str, camera: str, *, queue: int = 2, hold: bool = False) -> None:
        self.camera = camera
        self.skipped: dict[str, int] = {}
        self.finished = False
        self._memory: Memory | None = None
        self._words = b""
        self._closing = False
        self._ending = threading.Lock()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._stderr, their_stderr = os.pipe()
        try:
            self._child = _spawn(theirs.fileno(), their_stderr, camera)
        finally:
            theirs.close()
            os.close(their_stderr)
        self.pid = self._child.pid
        slots = min(queue, QUEUED_MOST) + SLOTS_BEYOND_QUEUE
        request = {"source": text, "camera": camera, "slots": slots, "hold": hold}
        with contextlib.suppress(OSError):  # then it is dead already, which `read` will say
            self._socket.send(json.dumps(request).encode())
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._poll.register(self._stderr, select.POLLIN)

    def read(self) -> Frame | None:
        """Wait for the next frame (see `Source.read`); whoever wants a limit closes it."""
        while not (self._closing or self.finished):
            for fd, _ in self._poll.poll():
                if fd == self._stderr:
                    self._listen()
                elif (frame := self._receive()) is not None:
                    return frame
        return None

    def close(self) -> None:
        """End the child: by its own will within `GRACE_S`, else by SIGKILL."""
        self._closing = True
        with self._ending:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)  # wakes `read`, and tells the child
            if self._child.returncode is None and not self._ended(GRACE_S):
                self._child.kill()
                if not self._ended(KILLED_S):
                    # A process inside a system call that does not return cannot be ended; it goes
                    # when its driver lets it, and takes nothing of ours along.
                    log.error("camera %s: process %d hangs in its driver", self.camera, self.pid)
        self._memory = None  # frames that are still in use keep theirs

    def __del__(self) -> None:
        with contextlib.suppress(OSError, AttributeError):
            os.close(self._stderr)

    def _receive(self) -> Frame | None:
        packet, fds = self._packet()
        kind, words = packet[:1], packet[1:]
        if kind == FRAME:
            return self._frame(packet)
        if kind == MEMORY and fds:
            _, generation, slots, slot_bytes = LAYOUT.unpack(packet)
            self._memory = Memory(fds[0], generation, slots, slot_bytes, self._give_back)
        elif kind == COUNTS:
            self.skipped = dict(json.loads(words))
        elif kind == END:
            self.finished = True
        elif kind == LOST:
            raise SourceError(words.decode(errors="replace"))
        elif not self._closing:
            raise SourceError(self._obituary())
        return None

    def _packet(self) -> tuple[bytes, list[int]]:
        """The next packet; an empty one at the end."""
        for _ in range(2):
            # A child that ends without having read everything is reported as a reset, once, before
            # the packets that it left.
            with contextlib.suppress(OSError):
                packet, fds, _, _ = socket.recv_fds(
                    self._socket, PACKET_MOST, 1, socket.MSG_CMSG_CLOEXEC
                )
                return packet, fds
        return b"", []

    def _frame(self, packet: bytes) -> Frame:
        _, generation, slot, width, height, captured_at, seq = PICTURE.unpack(packet)
        memory = self._memory
        if memory is None or generation != memory.generation:
            raise SourceError("its capture process sent a frame without memory")
        image = memory.picture(slot, height, width)
        return Frame(image, captured_at, seq, self.camera)

    def _give_back(self, generation: int, slot: int) -> None:
        with contextlib.suppress(OSError):
            self._socket.send(GIVEN_BACK.pack(generation, slot), socket.MSG_DONTWAIT)

    def _listen(self) -> None:
        """Keep the last words of what drivers and libraries print."""
        heard = os.read(self._stderr, 65536)
        if not heard:
            self._poll.unregister(self._stderr)
        self._words = (self._words + heard)[-WORDS_MOST:]

    def _obituary(self) -> str:
        """Why the child is no more, in one line."""
        self._ended(1.0)
        with contextlib.suppress(OSError):
            os.set_blocking(self._stderr, False)
            self._words = (self._words + os.read(self._stderr, 65536))[-WORDS_MOST:]
        code = self._child.returncode
        how = "closed its connection"
        if code is not None:
            how = f"ended by {_signal_name(-code)}" if code < 0 else f"ended with exit code {code}"
        lines = self._words.decode(errors="replace").strip().splitlines()
        return f"its capture process {how}" + (f": {redacted(lines[-1])[:300]}" if lines else "")

    def _ended(self, timeout_s: float) -> bool:
        try:
            self._child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True


def _spawn(fd: int, stderr: int, camera: str) -> subprocess.Popen[bytes]:
    """The child. Its source goes over the socket: it may hold a password, `ps` shows arguments."""
    os.set_blocking(stderr, False)  # a full pipe loses words instead of holding the driver up
    command = [sys.executable, "-m", "edge_agent.sources.child", str(fd), str(os.getpid()), camera]
    try:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr, pass_fds=(fd,),
            env=os.environ | _QUIET,
        )  # fmt: skip
    except OSError as error:
        raise SourceError(f"its capture process cannot be started: {error.strerror}") from None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
