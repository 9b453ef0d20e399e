"""Files, hashes, one rename; what a full disk leaves."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from types import SimpleNamespace

import pytest

from builder import exchange, pack
from builder.build import build
from builder.options import BuildOptions
from edge_agent import atomic
from edge_agent.bundle import Bundle
from edge_agent.errors import StorageError
from tests.bundles import make_bundle


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


@pytest.fixture
def places(tmp_path):
    """An old bundle in its place, and a new one in the work folder."""
    work = tmp_path / ".work"
    work.mkdir()
    return make_bundle(tmp_path / "bundle").root, make_bundle(work / "bundle", version=2).root


def content(folder):
    """Every file with its bytes."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder): path.read_bytes() for path in files}


def seen_at_every_step(call, folder):
    """What a kill would leave: the folder's content before each line of ours, changes only."""
    found = []

    def note():
        if (now := content(folder)) not in found[-1:]:
            found.append(now)

    def look(frame, _event, _argument):
        if frame.f_code.co_filename in (pack.__file__, exchange.__file__, atomic.__file__):
            sys.settrace(None)
            note()
            sys.settrace(look)
        return look

    before = sys.gettrace()
    sys.settrace(look)
    try:
        call()
    finally:
        sys.settrace(before)
    note()
    return found


def test_a_whole_bundle_at_every_step(places, tmp_path, monkeypatch):
    """First the old one, then the new one, never without; the old one goes once that is on disk."""
    output, new = places
    wanted = [content(output), content(new)]
    synced = []
    monkeypatch.setattr(
        pack, "fsync_dir", lambda path: synced.append((path, content(new), content(output)))
    )
    (tmp_path / "one").touch()
    (tmp_path / "other").mkdir()
    if not exchange.exchange(tmp_path / "one", tmp_path / "other"):
        pytest.skip("this kernel or file system has no RENAME_EXCHANGE")
    assert (tmp_path / "one").is_dir() and (tmp_path / "other").is_file()
    assert seen_at_every_step(lambda: pack.install(new, output), output) == wanted
    assert synced == [(output.parent, *wanted)]
    assert not any(new.parent.iterdir())


def test_without_exchange_there_is_a_moment_without(places, monkeypatch):
    """What the docstring says of file systems that refuse; the end is the same."""
    output, new = places
    wanted = [content(output), {}, content(new)]
    monkeypatch.setattr(pack, "exchange", lambda *_: False)
    assert seen_at_every_step(lambda: pack.install(new, output), output) == wanted
    assert not any(new.parent.iterdir())


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EINVAL])
def test_refused_by_the_file_system(places, monkeypatch, number):
    """Renames take its place, as without the function in the C library."""
    output, new = places
    after = content(new)

    def refuse(*_):
        ctypes.set_errno(number)
        return -1

    for library in (SimpleNamespace(renameat2=refuse), SimpleNamespace()):
        monkeypatch.setattr(ctypes, "CDLL", lambda *_, library=library, **__: library)
        assert not exchange.exchange(new, output)
    pack.install(new, output)
    assert content(output) == after


def test_an_empty_folder_is_replaced(places, tmp_path):
    """A plain rename does the first; what is not there cannot be exchanged, and nothing changes."""
    output, new = places
    after = content(new)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError):
        exchange.exchange(tmp_path / "nothing", output)
    pack.install(new, tmp_path / "empty")
    assert content(tmp_path / "empty") == after


@pytest.mark.parametrize(
    ("moment", "raised", "expected"),
    [
        (2, OSError(errno.ENOSPC, "No space left on device"), StorageError),
        (1.5, KeyboardInterrupt(), KeyboardInterrupt),
        (2, KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_failed_rename_puts_the_old_bundle_back(tmp_path, monkeypatch, moment, raised, expected):
    """Between the renames of a disk that cannot exchange the old bundle returns, also at Ctrl-C."""
    monkeypatch.setattr(pack, "exchange", lambda *_: False)
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
