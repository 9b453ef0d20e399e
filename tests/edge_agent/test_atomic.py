"""edge_agent.atomic: old content or new content, never half of it."""

import errno
import os
import resource
import signal
from pathlib import Path

import pytest

from edge_agent.atomic import make_dirs, replace_symlink, write_atomic
from edge_agent.errors import StorageError, storage_errors


def test_write_replaces_and_leaves_no_temporary(tmp_path):
    """The new content is there, alone, with the mode asked for."""
    path = tmp_path / "f"
    write_atomic(path, b"one")
    write_atomic(path, b"two", mode=0o600)
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["f"]


def test_pieces_are_one_file_or_none(tmp_path):
    """What is made piece by piece is written so; when the making fails, the old content stands."""

    def failing():
        yield b"half"
        raise ValueError("no second half")

    path = tmp_path / "f"
    write_atomic(path, iter([b"one", b"", b"two"]))
    with pytest.raises(ValueError, match="no second half"):
        write_atomic(path, failing())
    assert path.read_bytes() == b"onetwo"
    assert os.listdir(tmp_path) == ["f"]


def test_a_full_disk_leaves_the_old_content(tmp_path):
    """A write that cannot finish changes nothing (the limit on file size plays the disk)."""
    path = tmp_path / "f"
    write_atomic(path, b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(StorageError, match="ulimit"):
            write_atomic(path, b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f"]


def test_a_folder_that_is_not_there_is_not_a_storage_error(tmp_path):
    """Only the disk's refusals are translated; a wrong path stays what it is."""
    with pytest.raises(FileNotFoundError):
        write_atomic(tmp_path / "no" / "f", b"")


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path):
    """A data folder below a file is a wrong path, and says which part of it."""
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file/data"):
        with pytest.raises(StorageError, match="file: a part of this path is a file"):
            make_dirs(path)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission"),
        (errno.EFBIG, "ulimit"),
        (errno.EIO, "reports an error"),
        (errno.ENOTDIR, "not a folder"),
        (errno.EISDIR, "a folder lies where"),
    ],
)
def test_the_disk_s_refusals_name_the_path_and_the_next_step(number, words):
    """Full, broken, read-only and not permitted are one clear line; the rest passes unchanged."""
    with pytest.raises(StorageError, match=f"/data/f: .*{words}"), storage_errors(Path("/data/f")):
        raise OSError(number, "refused")


def test_symlink_is_replaced_in_one_step(tmp_path):
    """The link points at the new target and no temporary stays."""
    link = tmp_path / "current"
    replace_symlink(link, "releases/a")
    replace_symlink(link, "releases/b")
    assert os.readlink(link) == "releases/b"
    assert os.listdir(tmp_path) == ["current"]
