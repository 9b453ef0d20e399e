"""Takes root's right to pass over file permissions away for a while; others never had it.

So a test of `permission denied` runs whoever runs the suite:

    with without_override():
        path.read_bytes()  # as the mode bits say

By capset(2) for the calling thread; a process that is started meanwhile has the right again.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

_VERSION_3 = 0x20080522
_OVERRIDE = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("thread", ctypes.c_int))


@contextmanager
def without_override() -> Iterator[None]:
    """Inside, file permissions bind this thread."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = _Header(_VERSION_3, 0), (ctypes.c_uint32 * 6)()

    def call(name: str) -> None:
        if getattr(libc, name)(ctypes.byref(header), sets):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    call("capget")
    had = sets[0]  # the first word of what is effective now
    sets[0] = had & ~_OVERRIDE
    call("capset")
    try:
        yield
    finally:
        sets[0] = had
        call("capset")
