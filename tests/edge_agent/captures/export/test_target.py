"""An export appears whole or not at all."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import zipfile

import pytest

from edge_agent.captures.export.target import write
from edge_agent.errors import StorageError, UsageError

FILES = [("data.yaml", b"names:\n"), ("images/a.jpg", b"x" * 5000), ("images/b.jpg", b"y")]


@pytest.mark.parametrize("name", ["out", "out.zip", "OUT.ZIP"])
def test_every_file_is_there(tmp_path, name):
    """As a folder, or in a zip file whose own check finds nothing."""
    write(tmp_path / name, FILES)
    if name == "out":
        found = {
            str(path.relative_to(tmp_path / name)): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }
    else:
        with zipfile.ZipFile(tmp_path / name) as archive:
            assert archive.testzip() is None
            found = {entry: archive.read(entry) for entry in archive.namelist()}
    assert found == dict(FILES)
    assert os.listdir(tmp_path) == [name]


def test_the_same_files_make_the_same_zip(tmp_path):
    """No time of day in it."""
    for name in ("a.zip", "b.zip"):
        write(tmp_path / name, FILES)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


@pytest.mark.parametrize("name", ["out", "out.zip"])
def test_what_is_there_is_left_alone(tmp_path, name):
    """An empty folder, a file, a dangling link: each is somebody's."""
    for make in (
        lambda path: path.mkdir(),
        lambda path: path.write_text("mine"),
        lambda path: path.symlink_to("nowhere"),
    ):
        path = tmp_path / name
        make(path)
        with pytest.raises(UsageError, match="is there already; name another target"):
            write(path, FILES)
        assert os.listdir(tmp_path) == [name]
        path.rmdir() if path.is_dir() else path.unlink()


def test_a_target_in_no_folder_is_named(tmp_path):
    """Nothing is made on the way."""
    with pytest.raises(UsageError, match="nowhere: no such folder"):
        write(tmp_path / "nowhere" / "out", FILES)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["out", "out.zip"])
def test_a_full_disk_leaves_nothing(tmp_path, name):
    """The limit on file size plays the disk, as in the tests of atomic writes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(StorageError, match="ulimit"):
            write(tmp_path / name, FILES)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["out", "out.zip"])
def test_a_picture_that_went_meanwhile_leaves_nothing(tmp_path, name):
    """The agent made room while we copied: say so, and that a second try helps."""
    files = [*FILES, ("images/c.jpg", tmp_path / "gone.jpg")]
    with pytest.raises(StorageError, match=r"gone\.jpg: is gone; .* export again"):
        write(tmp_path / name, files)
    assert os.listdir(tmp_path) == []


_KILLED = """
import os, signal, sys
from pathlib import Path
from edge_agent.captures.export.target import write

def files():
    yield "a", b"x" * 100000
    os.kill(os.getpid(), signal.SIGKILL)
    yield "b", b"y"

write(Path(sys.argv[1]), files())
"""


@pytest.mark.parametrize("name", ["out", "out.zip"])
def test_kill_9_leaves_no_half_export(tmp_path, name):
    """Only a hidden temporary one, which is in nobody's way."""
    done = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path / name)])
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / name).exists()
    write(tmp_path / name, FILES)
    assert (tmp_path / name).exists()
