"""A disk that really hangs, below one folder, for the processes that a test starts.

::

    disk = HangingDisk(tmp_path, device.layout.data, monkeypatch)   # before the agent is started
    with device.agent() as agent, disk.hanging():
        ...                             # every call below the folder waits inside libc

``tests/data/hanging/disk.c`` is compiled and preloaded. FUSE, device-mapper and NBD would need
rights that a test has not, and a stand-in within the program would hang only where somebody
thought of it.
"""

from __future__ import annotations

import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "data/hanging/disk.c"
COMPILER = shutil.which("cc")


class HangingDisk:
    """See the module's docstring."""

    def __init__(self, scratch: Path, below: Path, monkeypatch):
        if COMPILER is None:
            pytest.skip("needs a C compiler")
        library, self._flag = scratch / "disk.so", scratch / "hanging"
        command = [COMPILER, "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"]
        subprocess.run(command, check=True)
        monkeypatch.setenv("LD_PRELOAD", str(library))
        monkeypatch.setenv("HANG_BELOW", str(below))
        monkeypatch.setenv("HANG_WHILE", str(self._flag))

    @contextmanager
    def hanging(self):
        """It does not answer, until the block ends."""
        self._flag.touch()
        try:
            yield
        finally:
            self._flag.unlink()
