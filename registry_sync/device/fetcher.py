"""Blobs from the repository into the store: only what is missing, resumable, never half.

A blob is trusted through the signed manifest: its size bounds the download, its SHA-256 decides.
Until then it is called ``<hash>.part``; what a power cut leaves of it is continued with a Range
request.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from edge_agent.atomic import fsync_dir
from edge_agent.bundle import FileEntry, hash_file
from edge_agent.errors import RepositoryError, StorageError, storage_errors
from registry_sync.device.transport import Transport

HEADROOM = 1.2
RESERVE_BYTES = 64 * 1024 * 1024


def fetch(
    entries: Iterable[FileEntry],
    store: Path,
    transport: Transport,
    url: str,
    *,
    free_bytes: Callable[[Path], int] | None = None,
    progress: Callable[[FileEntry], None] | None = None,
) -> int:
    """Download what the store lacks.

    Args:
        entries: what a manifest lists.
        store: folder of blobs, ``<sha256>`` each.
        transport: where bytes come from.
        url: folder of blobs in the repository.
        free_bytes: how much space there is; the file system's answer when None.
        progress: called after each blob that arrived.

    Returns:
        The bytes that were missing.

    Raises:
        RepositoryError: away, cut short, or not what the manifest says.
        StorageError: too little space (before anything is written), or the disk's refusal.
    """
    missing = {entry.sha256: entry for entry in entries if not has(store, entry)}
    needed = sum(entry.size for entry in missing.values())
    if missing:
        with storage_errors(store):
            store.mkdir(parents=True, exist_ok=True)
        _preflight(store, needed, (free_bytes or _free_bytes)(store))
    for entry in missing.values():
        _fetch_one(entry, store, transport, f"{url}/{entry.sha256}")
        if progress is not None:
            progress(entry)
    return needed


def has(store: Path, entry: FileEntry) -> bool:
    """Whether a blob is in the store (its hash was checked before it got its name)."""
    path = store / entry.sha256
    return path.is_file() and path.stat().st_size == entry.size


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _preflight(store: Path, needed: int, free: int) -> None:
    wanted = int(needed * HEADROOM) + RESERVE_BYTES
    if free < wanted:
        raise StorageError(
            f"{store}: the disk has {free >> 20} MB free and this release needs"
            f" {wanted >> 20} MB with its reserve; free {(wanted - free >> 20) + 1} MB or point"
            " `data` at a larger disk"
        )


def _fetch_one(entry: FileEntry, store: Path, transport: Transport, url: str) -> None:
    part = store / f"{entry.sha256}.part"
    with storage_errors(part):
        if part.exists() and part.stat().st_size > entry.size:
            part.unlink()
        # 1. Append what is missing, never more than was declared.
        with part.open("ab") as file:
            if file.tell() < entry.size:
                _append(entry, file, transport, url)
            file.flush()
            os.fsync(file.fileno())
        # 2. The hash decides over the whole file, also over what an earlier run wrote.
        if hash_file(part) != entry.sha256:
            part.unlink()
            raise RepositoryError(
                f"{url}: is damaged, its SHA-256 is not the signed one ({entry.path}); refused"
            )
        # 3. Only now does it get its name, durably.
        part.chmod(0o644)
        os.replace(part, store / entry.sha256)
        fsync_dir(store)


def _append(entry: FileEntry, file: BinaryIO, transport: Transport, url: str) -> None:
    start, pieces = transport.stream(url, file.tell())
    if start != file.tell():
        file.truncate(start)
        file.seek(start)
    for piece in pieces:
        if file.tell() + len(piece) > entry.size:
            file.truncate(0)
            raise RepositoryError(
                f"{url}: sends more than the {entry.size} bytes that were signed; refused"
            )
        file.write(piece)
    if file.tell() < entry.size:
        raise RepositoryError(
            f"{url}: ends after {file.tell()} of {entry.size} bytes; the rest is fetched on the"
            " next try"
        )
