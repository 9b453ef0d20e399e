"""How frames come from a capture process: slots of shared memory, and small messages about them.

The memory is an anonymous file (memfd) that the child makes, seals against shrinking and sends over
a socket, so nothing is left behind whoever is killed. A message is one packet, its first byte the
kind. A slot belongs to the child until its frame is announced, then to the parent until it is given
back; a picture that outgrows the slots gets new memory with the next generation number.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_agent.errors import SourceError

if TYPE_CHECKING:
    from edge_agent.detection.preprocess import Image

MEMORY, FRAME, COUNTS, LOST, END = b"M", b"F", b"C", b"E", b"Z"
PACKET_MOST = 8192
LAYOUT = struct.Struct("<cIIQ")  # MEMORY: generation, slots, bytes per slot; the fd comes along
PICTURE = struct.Struct("<cIIIIdQ")  # FRAME: generation, slot, width, height, captured_at, seq
GIVEN_BACK = struct.Struct("<II")  # from the parent: generation, slot
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


def make_memory(slots: int, slot_bytes: int) -> tuple[int, mmap.mmap]:
    """The child's side: sealed memory of zeros that are not touched yet; (fd, mapping)."""
    fd = os.memfd_create("outpost-frames", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, slots * slot_bytes)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    return fd, mmap.mmap(fd, slots * slot_bytes)


class Memory:
    """The parent's side of one generation.

    Args:
        fd: closed here.
        generation: its number.
        slots: how many.
        slot_bytes: size of each.
        give_back: hears the number of each slot that is free again, from any thread.

    Raises:
        SourceError: the memory is not what was announced.
    """

    def __init__(
        self,
        fd: int,
        generation: int,
        slots: int,
        slot_bytes: int,
        give_back: Callable[[int, int], None],
    ) -> None:
        self.generation = generation
        self.slots = slots
        self.slot_bytes = slot_bytes
        self.lent: set[int] = set()
        self._give_back = give_back
        try:
            size = slots * slot_bytes
            sealed = fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK
            if not sealed or not 0 < size <= os.fstat(fd).st_size:
                raise SourceError("its capture process sent memory of another size than it said")
            self._bytes = np.frombuffer(mmap.mmap(fd, size), np.uint8)
        finally:
            os.close(fd)
        self._address = int(self._bytes.ctypes.data)

    def picture(self, slot: int, height: int, width: int) -> Image:
        """The picture in a slot, without a copy; the slot is given back with its last reference.

        The last two slots are never lent for long: then it is a copy, so that whoever keeps many
        frames does not bring the camera to a halt.

        Raises:
            SourceError: a slot or size that cannot be.
        """
        if slot in self.lent or slot >= self.slots or not 0 < height * width * 3 <= self.slot_bytes:
            raise SourceError(f"its capture process sent nonsense: slot {slot}, {width} x {height}")
        self.lent.add(slot)
        image: Image = np.asarray(_Loan(self, slot, self._address, (height, width, 3)))
        return image.copy() if len(self.lent) > self.slots - 2 else image

    def returned(self, slot: int) -> None:
        """A slot's last reference is gone."""
        self.lent.discard(slot)
        self._give_back(self.generation, slot)


class _Loan:
    """What an array over a slot keeps alive. Views of the array keep it too, because NumPy does
    not look for an owner behind an object that is no array.
    """

    def __init__(
        self, memory: Memory, slot: int, address: int, shape: tuple[int, int, int]
    ) -> None:
        self._memory = memory
        self._slot = slot
        start = address + slot * memory.slot_bytes
        self.__array_interface__: dict[str, Any] = {
            "version": 3, "typestr": "|u1", "shape": shape, "data": (start, False),
        }  # fmt: skip

    def __del__(self) -> None:
        self._memory.returned(self._slot)
