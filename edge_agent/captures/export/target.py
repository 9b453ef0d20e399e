"""A folder or a zip file that appears whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_agent.atomic import fsync_dir
from edge_agent.errors import StorageError, UsageError, storage_errors

Content = bytes | Path
_PIECE = 1 << 20


def write(target: Path, files: Iterable[tuple[str, Content]]) -> None:
    """Write an export.

    Args:
        target: becomes a zip file when its name ends so, else a folder.
        files: path in the export, and its bytes or the file that is copied.

    Raises:
        UsageError: the target is there already, or its folder is not.
        StorageError: the disk is full or refuses; nothing is left then.
    """
    if target.exists() or target.is_symlink():
        raise UsageError(f"{target}: is there already; name another target or remove it")
    if not target.absolute().parent.is_dir():
        raise UsageError(f"{target.absolute().parent}: no such folder; make it first")
    is_zip = target.suffix.lower() == ".zip"
    with _becoming(target) as temporary, storage_errors(target):
        (_write_zip if is_zip else _write_folder)(temporary, files)


@contextmanager
def _becoming(target: Path) -> Iterator[Path]:
    """A path beside the target that takes its name at the end, or is gone."""
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        os.rename(temporary, target)
    except BaseException:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)
        raise
    fsync_dir(target.absolute().parent)


def _write_folder(root: Path, files: Iterable[tuple[str, Content]]) -> None:
    folders = {root}
    root.mkdir()
    for name, content in files:
        path = root / name
        if path.parent not in folders:
            path.parent.mkdir()
            folders.add(path.parent)
        with path.open("xb") as file:
            for piece in _pieces(content):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
    for folder in folders:
        fsync_dir(folder)


def _write_zip(path: Path, files: Iterable[tuple[str, Content]]) -> None:
    """The same captures make the same bytes: pictures are stored, every entry has one date."""
    with path.open("xb") as file:
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in files:
                entry = zipfile.ZipInfo(name)
                entry.external_attr = 0o644 << 16
                with archive.open(entry, "w") as member:
                    for piece in _pieces(content):
                        member.write(piece)
        file.flush()
        os.fsync(file.fileno())


def _pieces(content: Content) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    try:
        with content.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece
    except FileNotFoundError:
        raise StorageError(
            f"{content}: is gone; the agent made room for newer ones; export again"
        ) from None
