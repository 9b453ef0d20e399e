"""One battery for the real folder and for the simulated disk that other tests rely on."""

from __future__ import annotations

import errno
import os

import pytest

from edge_agent.captures.disk import Folder
from edge_agent.errors import StorageError
from tests.edge_agent.captures.simulator import SimulatedDisk


@pytest.fixture(params=["folder", "simulated"])
def disk(request, tmp_path):
    made = Folder(tmp_path / "deep" / "captures") if request.param == "folder" else SimulatedDisk()
    made.prepare()
    return made


def names(disk):
    return {entry.name: entry.size for entry in disk.entries()}


def test_a_file_is_there_as_it_was_written(disk):
    """Name, size, last bytes; preparing again loses nothing."""
    disk.write("a", b"0123456789abcdefXYZ")
    disk.write("b", b"short")
    disk.prepare()
    assert names(disk) == {"a": 19, "b": 5}
    assert (disk.tail("a"), disk.tail("b")) == (b"3456789abcdefXYZ", b"short")
    assert next(disk.entries()).modified > 1.6e9


def test_removing_what_is_not_there_is_no_error(disk):
    """Somebody else may have been quicker."""
    disk.write("a", b"x")
    disk.remove(("b", "a"))
    disk.remove(("a",))
    assert names(disk) == {}


def test_free_space_is_a_number_of_bytes(disk):
    """At least a file of this size fits."""
    assert disk.free() > 1_000_000


def test_the_real_folder_is_not_for_everybody(tmp_path):
    """Pictures of a workplace: others may not read them."""
    disk = Folder(tmp_path / "captures")
    disk.prepare()
    disk.write("a", b"x")
    assert (tmp_path / "captures" / "a").stat().st_mode & 0o007 == 0


def test_other_things_in_the_real_folder_are_left_alone(tmp_path):
    """Folders and links are no files of ours."""
    (tmp_path / "folder").mkdir()
    os.symlink("/etc/passwd", tmp_path / "link")
    assert list(Folder(tmp_path).entries()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_the_simulated_disk_refuses_as_a_real_one(number):
    """With the house's one clear line and the system's error behind it."""
    disk = SimulatedDisk()
    disk.refusal = number
    with pytest.raises(StorageError) as caught:
        disk.write("a", b"x")
    assert caught.value.__cause__.errno == number


def test_the_simulated_disk_is_full_at_its_capacity():
    """In blocks, as real ones."""
    disk = SimulatedDisk(capacity=8192)
    disk.write("a", b"x" * 4097)
    with pytest.raises(StorageError, match="disk is full"):
        disk.write("b", b"x")
