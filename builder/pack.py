"""From parts to a bundle on disk: files, hashes, manifest, one rename.

Everything is made in a hidden folder beside the target and takes its place at the end, so that
Ctrl-C, a full disk or a power cut leave either the old bundle or the new one (`install` names the
file systems where a power cut may leave it beside).
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from builder.exchange import exchange
from edge_agent.atomic import fsync_dir, make_dirs, write_atomic
from edge_agent.bundle import MANIFEST_NAME, Bundle, Manifest, hash_file
from edge_agent.errors import UsageError, storage_errors


@contextmanager
def workspace(output: Path) -> Iterator[Path]:
    """A hidden folder beside ``output`` that is gone at the end, whatever happens.

    Raises:
        UsageError: when ``output`` exists and is not a bundle.
        StorageError: when nothing can be written there.
    """
    check_replaceable(output)
    try:
        make_dirs(output.parent)
    except FileNotFoundError:  # a file system like /proc, where nobody makes folders
        raise _no_folder(output) from None
    folder = output.parent / f".{output.name}.{secrets.token_hex(4)}.tmp"
    with storage_errors(folder):
        try:
            folder.mkdir()
        except FileNotFoundError:
            raise _no_folder(output) from None
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _no_folder(output: Path) -> UsageError:
    return UsageError(f"{output}: no folder can be made there; choose another -o")


def check_replaceable(output: Path) -> None:
    """Refuse to replace anything but a bundle or an empty folder; raises `UsageError`."""
    if output.is_symlink() or (output.exists() and not output.is_dir()):
        raise UsageError(f"{output}: is not a folder; choose another -o")
    if output.is_dir() and not (output / MANIFEST_NAME).exists() and any(output.iterdir()):
        raise UsageError(f"{output}: exists and is not a bundle; choose another -o or empty it")


def put(root: Path, relative: str, data: bytes | Iterable[bytes]) -> None:
    """Write one file of the bundle, whole or in pieces, making its folder."""
    path = root / relative
    make_dirs(path.parent)
    write_atomic(path, data)


def finish(root: Path, document: Mapping[str, object]) -> Manifest:
    """List every file below ``root``, check the manifest and write it."""
    files = [
        {"path": path.relative_to(root).as_posix(), "size": path.stat().st_size,
         "sha256": hash_file(path)}
        for path in sorted(root.rglob("*")) if path.is_file()
    ]  # fmt: skip
    manifest = Manifest.from_document({**document, "files": files})
    put(root, MANIFEST_NAME, manifest.to_bytes())
    return manifest


def install(root: Path, output: Path) -> Bundle:
    """Put the finished folder at ``output``; an old bundle there is replaced in one step.

    Old and new exchange their places, so that ``output`` holds a whole bundle at every moment, and
    the old one is removed once that is on disk. Where the kernel or the file system cannot
    exchange (`builder.exchange`), the old one is renamed aside first: after a power cut between the
    two renames it lies in the hidden folder beside ``output``, and nothing is at ``output``.

    Raises:
        StorageError: when the disk refuses; a whole bundle, old or new, then still stands.
    """
    check_replaceable(output)
    with storage_errors(output):
        if not _is_full(output):
            os.rename(root, output)
        elif not exchange(root, output):
            _rename_twice(root, output)
        fsync_dir(output.parent)
        shutil.rmtree(root, ignore_errors=True)
    return Bundle.open(output)


def _is_full(folder: Path) -> bool:
    """Whether something is in a folder; a rename replaces an empty one by itself."""
    return folder.exists() and any(folder.iterdir())


def _rename_twice(root: Path, output: Path) -> None:
    """What `exchange` does, in three steps; the old bundle returns when one of them fails."""
    aside = root.with_name(root.name + ".old")
    try:
        os.rename(output, aside)
        os.rename(root, output)
        os.rename(aside, root)
    except BaseException:  # Ctrl-C too: what is left in the work folder is removed
        if aside.exists() and not output.exists():
            os.rename(aside, output)
        raise
