"""Writes that survive a power cut: write, fsync, rename, fsync the folder.

Devices lose power at any instruction. After a cut, a path written here holds either the whole old
content or the whole new one; leftovers are named ``.<name>.<random>.tmp`` and are safe to delete.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from edge_agent.errors import storage_errors

_CHUNK = 1 << 20


def fsync_dir(path: Path) -> None:
    """Make the entries of a folder durable (a rename is only on disk after this)."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def write_atomic(
    path: Path, data: bytes | Iterable[bytes], *, mode: int = 0o644, durable: bool = True
) -> None:
    """Replace ``path`` with ``data`` in one step.

    Args:
        path: the file; its folder must exist.
        data: the whole new content, or its pieces in order, made as they are written.
        mode: permission bits of the new file.
        durable: False skips both fsyncs, for files that a restart recreates anyway (health.json).

    Raises:
        StorageError: disk full, read-only or not permitted; ``path`` is then unchanged.
    """
    temporary = _temporary(path)
    with storage_errors(path):
        try:
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(fd, "wb") as file:
                file.writelines([data] if isinstance(data, bytes) else data)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if durable:
            fsync_dir(path.parent)


def replace_symlink(link: Path, target: str) -> None:
    """Point ``link`` at ``target`` (relative to its folder) in one step, durably.

    Raises:
        StorageError: disk full, read-only or not permitted; the old link then still stands.
    """
    temporary = _temporary(link)
    with storage_errors(link):
        try:
            os.symlink(target, temporary)
            os.replace(temporary, link)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        fsync_dir(link.parent)


def copy_atomic(source: Path, target: Path, *, mode: int = 0o644) -> str:
    """Copy a file to ``target`` in one durable step, reading it in pieces of 1 MiB.

    Returns:
        SHA-256 in hex of the bytes that were copied.

    Raises:
        StorageError: disk full, read-only or not permitted; ``target`` is then unchanged.
    """
    temporary = _temporary(target)
    digest = hashlib.sha256()
    with storage_errors(target):
        try:
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(fd, "wb") as copy, source.open("rb") as file:
                while piece := file.read(_CHUNK):
                    digest.update(piece)
                    copy.write(piece)
                copy.flush()
                os.fsync(copy.fileno())
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        fsync_dir(target.parent)
    return digest.hexdigest()


def make_dirs(path: Path) -> None:
    """Make a folder and its missing parents, each of them durable.

    Raises:
        StorageError: disk full, read-only or not permitted, or a file is in the way.
    """
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    with storage_errors(path):
        for folder in reversed(missing):
            try:
                folder.mkdir(exist_ok=True)
            except FileExistsError:
                raise NotADirectoryError(errno.ENOTDIR, "is a file", str(folder)) from None
            fsync_dir(folder.parent)
