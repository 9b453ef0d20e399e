"""One folder of a disk: the few things that the store does with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edge_agent.atomic import fsync_dir, make_dirs, write_atomic
from edge_agent.errors import storage_errors

TAIL = 16
_MODE = 0o640  # pictures of a workplace are not for everybody


@dataclass(frozen=True)
class Entry:
    """A file: its name, its size in bytes, wall-clock seconds of its last write."""

    name: str
    size: int
    modified: float


class Disk(Protocol):
    """A folder that may be full, read-only, slow or gone.

    Every method may raise `StorageError` (refused, in one clear line) or OSError, and may take
    for ever.
    """

    def prepare(self) -> None:
        """Make the folder where it is missing."""
        ...

    def entries(self) -> Iterator[Entry]:
        """Every file in it."""
        ...

    def tail(self, name: str) -> bytes:
        """The last `TAIL` bytes of a file."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """A new file, whole and durable, or none."""
        ...

    def remove(self, names: tuple[str, ...]) -> None:
        """Remove files in this order; those that are not there are no error."""
        ...

    def free(self) -> int:
        """Bytes that may still be written."""
        ...


class Folder:
    """The real one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def prepare(self) -> None:
        """See `Disk`."""
        make_dirs(self.path)

    def entries(self) -> Iterator[Entry]:
        """See `Disk`."""
        with storage_errors(self.path), os.scandir(self.path) as found:
            for item in found:
                if item.is_file(follow_symlinks=False):
                    status = item.stat(follow_symlinks=False)
                    yield Entry(item.name, status.st_size, status.st_mtime)

    def tail(self, name: str) -> bytes:
        """See `Disk`."""
        path = self.path / name
        with storage_errors(path), path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
            return file.read()

    def write(self, name: str, data: bytes) -> None:
        """See `Disk`."""
        write_atomic(self.path / name, data, mode=_MODE)

    def remove(self, names: tuple[str, ...]) -> None:
        """See `Disk`."""
        with storage_errors(self.path):
            for name in names:
                (self.path / name).unlink(missing_ok=True)
            fsync_dir(self.path)

    def free(self) -> int:
        """See `Disk`."""
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize
