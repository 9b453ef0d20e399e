"""Files, hashes, one rename; what a full disk leaves."""

from __future__ import annotations

import errno
import os

import pytest

from builder import pack
from builder.build import build
from builder.options import BuildOptions
from edge_agent.bundle import Bundle
from edge_agent.errors import StorageError


def test_full_disk_is_one_clear_line(bundle, squares, frames, tmp_path, monkeypatch):
    """ENOSPC at the n-th write: StorageError, nothing left, the old bundle stands."""
    output = tmp_path / "bundle"
    options = BuildOptions(reference_data=frames, prove="never", name="squares")
    build(str(squares), output, options)
    before = (output / "manifest.json").read_bytes()
    real, left = os.fsync, 0

    def fsync(fd: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    for writes in (0, 3, 10):
        left = writes
        with pytest.raises(StorageError, match="the disk is full") as caught:
            build(str(squares), output, options)
        assert caught.value.exit_code == 8
        assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
        assert (output / "manifest.json").read_bytes() == before
    Bundle.open(output).verify()


def test_unwritable_folder(squares, tmp_path, monkeypatch):
    """A folder that is not ours is a StorageError, too (simulated: tests may run as root)."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path))

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(StorageError, match="permission denied"):
        build(str(squares), tmp_path / "new" / "bundle")


@pytest.mark.parametrize(
    ("moment", "raised", "expected"),
    [
        (2, OSError(errno.ENOSPC, "No space left on device"), StorageError),
        (1.5, KeyboardInterrupt(), KeyboardInterrupt),
        (2, KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_failed_rename_puts_the_old_bundle_back(tmp_path, monkeypatch, moment, raised, expected):
    """Between the two renames of a replacement the old bundle returns, also at Ctrl-C."""
    old, new = tmp_path / "bundle", tmp_path / ".new"
    for folder, text in ((old, "old"), (new, "new")):
        folder.mkdir()
        (folder / "manifest.json").write_text(text)
    real, calls = os.rename, []

    def rename(source: object, target: object) -> None:
        calls.append(source)
        if len(calls) == moment:
            raise raised
        real(source, target)  # type: ignore[arg-type]
        if len(calls) == moment - 0.5:
            raise raised

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(expected):
        pack.install(new, old)
    assert (old / "manifest.json").read_text() == "old"
