"""Two entries of a file system swap their places in one step: Linux's ``renameat2``.

Python has no name for it, and no plain rename replaces a folder that is not empty.
"""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

_AT_FDCWD = -100  # relative paths start at the working folder; <fcntl.h>
_RENAME_EXCHANGE = 2  # <linux/fs.h>
_NOT_HERE = (errno.ENOSYS, errno.EINVAL)
"""From a kernel without the call, and a file system without the flag (NFS, some of FUSE)."""


def exchange(first: Path, second: Path) -> bool:
    """Give each of two paths what the other one has; nobody sees either of them missing.

    Returns:
        False where C library, kernel or file system cannot do it: then nothing has changed.

    Raises:
        OSError: the disk refuses for any other reason; nothing has changed.
    """
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    one, other = os.fsencode(first), os.fsencode(second)
    if call(_AT_FDCWD, one, _AT_FDCWD, other, ctypes.c_uint(_RENAME_EXCHANGE)) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NOT_HERE:
        return False
    raise OSError(number, os.strerror(number), str(second))
