"""The folder of captures: never too full, whole after every kill, repaired at the start."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.captures.disk import Folder
from edge_agent.captures.record import Sidecar, parse
from edge_agent.captures.ring import BLOCK
from edge_agent.captures.shelf import Wanted, read
from edge_agent.captures.store import NoRoomError, Store
from edge_agent.errors import StorageError
from tests.edge_agent.captures.simulator import SimulatedDisk, picture, record

ONE = 2 * BLOCK  # a small picture and its sidecar


def opened(disk, *, most=1 << 30, reserve=0):
    store = Store(disk, most_bytes=most, reserve_bytes=reserve)
    store.open()
    return store


def add(store, reason="check", size=1000):
    return store.add(picture(size), "jpg", record(reason=reason), at=1.0)


def reasons(disk):
    """What is on the disk, as ``number reason``."""
    stems = {name.rpartition(".")[0] for name in disk.files}
    return sorted(f"{int(stem.split('_')[0])} {stem.split('_')[2]}" for stem in stems)


def test_a_capture_is_a_picture_and_its_sidecar(tmp_path):
    """Numbered in the order of taking; the sidecar names its picture and the picture's size."""
    store = opened(Folder(tmp_path))
    assert add(store) == "00000001_top_check"
    assert store.add(picture(50), "png", record(reason="rare"), at=1.0) == "00000002_top_rare"
    sidecar = parse((tmp_path / "00000001_top_check.json").read_bytes(), "x")
    assert (sidecar.picture, sidecar.size) == ("00000001_top_check.jpg", 1000)
    assert sidecar.record == record()
    assert (tmp_path / "00000002_top_rare.png").read_bytes() == picture(50)
    assert (store.count, store.size) == (2, 2 * ONE)


def test_numbers_go_on_after_a_restart(tmp_path):
    """Also when the clock jumped back meanwhile: the order of taking is in the names."""
    store = opened(Folder(tmp_path))
    for _ in range(3):
        add(store)
    again = opened(Folder(tmp_path), most=3 * ONE)
    assert (again.count, again.size) == (3, 3 * ONE)
    assert add(again) == "00000004_top_check"
    assert not (tmp_path / "00000001_top_check.jpg").exists()


def test_the_oldest_of_the_most_plentiful_reason_makes_room():
    """Two rare ones survive a day of dirty lens."""
    disk = SimulatedDisk()
    store = opened(disk, most=4 * ONE)
    for reason in ("rare", "check", "check", "rare", "check", "check", "check"):
        add(store, reason)
    assert reasons(disk) == ["1 rare", "4 rare", "6 check", "7 check"]


def test_the_reserve_of_free_space_is_never_touched():
    """Older captures go as the disk fills up with other things; then no more are taken."""
    disk = SimulatedDisk(capacity=10 * ONE)
    store = opened(disk, reserve=4 * ONE)
    for _ in range(6):
        add(store)
    assert disk.free() == 4 * ONE
    disk.files["somebody else's"] = bytes(3 * ONE)
    add(store)
    assert (store.count, disk.free()) == (3, 4 * ONE)
    disk.files["somebody else's"] = bytes(9 * ONE)
    with pytest.raises(NoRoomError, match=r"are reserved; free space, or change max_mb"):
        add(store)
    assert store.count == 3, "what is kept does not go for nothing"


def test_a_picture_larger_than_all_the_room_is_refused():
    """And nothing goes for it."""
    disk = SimulatedDisk()
    store = opened(disk, most=4 * ONE)
    add(store)
    with pytest.raises(NoRoomError):
        add(store, size=5 * ONE)
    assert reasons(disk) == ["1 check"]


class Quota(SimulatedDisk):
    """A disk that promises more than it gives, as quotas do."""

    def free(self):
        return 1 << 40

    def write(self, name, data):
        if SimulatedDisk.free(self) < BLOCK:
            self.refusal = errno.EDQUOT
        super().write(name, data)
        self.refusal = 0

    def remove(self, names):
        self.refusal = 0
        super().remove(names)


def test_a_full_disk_leaves_nothing_of_a_capture():
    """The picture fits, the sidecar does not."""
    disk = Quota(capacity=ONE + BLOCK)
    store = opened(disk)
    add(store)
    with pytest.raises(NoRoomError, match="quota is used up"):
        add(store)
    assert reasons(disk) == ["1 check"]
    assert (store.count, store.size) == (1, ONE)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EIO])
def test_a_disk_that_refuses_is_another_error(number):
    """Named as it is; the next capture is tried again."""
    disk = SimulatedDisk()
    store = opened(disk)
    disk.refusal = number
    with pytest.raises(StorageError) as caught:
        add(store)
    assert not isinstance(caught.value, NoRoomError)
    disk.refusal = 0
    add(store)
    assert store.count == 1


class TestRepair:
    """What a power cut or a bad disk left is cleared away at the start."""

    @pytest.fixture
    def folder(self, tmp_path):
        store = opened(Folder(tmp_path))
        for _ in range(3):
            add(store)
        return tmp_path

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("00000002_top_check.json", b""),
            ("00000002_top_check.json", b'{\n  "also": [],\n'),
            ("00000002_top_check.json", b"\0" * 900),
            ("00000002_top_check.jpg", b""),
            ("00000002_top_check.jpg", picture()[:500]),
            ("00000002_top_check.jpg", picture()[:500] + bytes(500)),
        ],
    )
    def test_half_a_file_takes_its_other_half_along(self, folder, name, content):
        """The captures beside it stay."""
        (folder / name).write_bytes(content)
        store = Store(Folder(folder), most_bytes=1 << 30, reserve_bytes=0)
        assert store.open().cleared == 2
        assert sorted(path.stem for path in folder.iterdir()) == [
            *["00000001_top_check"] * 2,
            *["00000003_top_check"] * 2,
        ]
        assert store.count == 2

    @pytest.mark.parametrize("suffix", ["json", "jpg"])
    def test_a_file_without_its_other_half_goes(self, folder, suffix):
        """Cut between the two writes, or between the two removals."""
        (folder / f"00000002_top_check.{suffix}").unlink()
        store = Store(Folder(folder), most_bytes=1 << 30, reserve_bytes=0)
        assert (store.open().cleared, store.count) == (1, 2)
        assert len(list(folder.iterdir())) == 4

    def test_temporary_files_go_and_strangers_stay(self, folder):
        """Only what this program made is cleared away."""
        (folder / ".00000004_top_check.jpg.0a1b2c3d.tmp").write_bytes(b"half")
        for stranger in ("notes.txt", ".hidden.tmp", "holiday.jpg", "4_top_check.jpg"):
            (folder / stranger).write_bytes(b"mine")
        store = Store(Folder(folder), most_bytes=1 << 30, reserve_bytes=0)
        assert (store.open().cleared, store.count) == (1, 3)
        left = {path.name for path in folder.iterdir()}
        assert {"notes.txt", ".hidden.tmp", "holiday.jpg", "4_top_check.jpg"} <= left
        assert len(left) == 10

    def test_a_number_is_never_used_twice(self, folder):
        """A half that was cleared away had the highest one."""
        (folder / "00000009_top_check.jpg").write_bytes(b"")
        store = opened(Folder(folder))
        assert add(store) == "00000010_top_check"


_WORK = r"""
import os, signal, sys
from pathlib import Path
from edge_agent.captures.disk import Folder
from edge_agent.captures.record import parse
from edge_agent.captures.store import Store

left, sidecar = int(sys.argv[2]), parse(Path(sys.argv[3]).read_bytes(), "x")

def step(event, arguments):
    global left
    if event in ("open", "os.rename", "os.remove", "os.scandir"):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

folder = Path(sys.argv[1])
store = Store(Folder(folder), most_bytes=3 * 8192, reserve_bytes=0)
sys.addaudithook(step)
store.open()
for number in range(3):
    print(store.add(b"pixels\xff\xd9", "jpg", sidecar.record, at=1.0), flush=True)
"""


@pytest.mark.slow
def test_kill_9_at_every_step(tmp_path):
    """Killed before the n-th file operation, for every n: the newest acknowledged one is whole.

    Room is made on the way, so removals are cut as well.
    """
    finished = False
    steps = 0
    sample = tmp_path / "sample.json"
    sample.write_bytes(Sidecar("00000001_top_rare.jpg", 1, record(reason="rare")).to_bytes())
    while not finished:
        folder = tmp_path / str(steps)
        store = opened(Folder(folder), most=3 * ONE)
        for _ in range(2):
            add(store)
        command = [sys.executable, "-c", _WORK, str(folder), str(steps), str(sample)]
        done = subprocess.run(command, capture_output=True, text=True)
        finished = done.returncode == 0
        assert finished or done.returncode == -signal.SIGKILL, done.stderr
        check_after_kill(folder, done.stdout.split())
        steps += 1
    assert steps > 25, "the kills hit nothing"


def check_after_kill(folder: Path, acknowledged: list[str]) -> None:
    before = read(folder, Wanted())
    assert before.damaged == ()
    store = opened(Folder(folder), most=3 * ONE)
    shelf = read(folder, Wanted())
    names = [capture.name for capture in shelf.captures]
    assert shelf.damaged == () and set(acknowledged[-1:]) <= set(names)
    assert len(names) >= 2, "one goes for each that comes, not more"
    assert len(list(folder.iterdir())) == 2 * len(names) == 2 * store.count
    assert store.size <= 3 * ONE
    assert add(store) not in names


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["check", "rare", "baseline"]), st.integers(10, 5 * BLOCK)),
        max_size=30,
    ),
    st.integers(2, 20),
    st.integers(0, 10),
)
def test_limits_hold_whatever_is_added(items, most, reserve):
    """Neither the limit nor the reserve is ever passed, and the count is that of the disk."""
    disk = SimulatedDisk(capacity=20 * BLOCK)
    store = opened(disk, most=most * BLOCK, reserve=reserve * BLOCK)
    for reason, size in items:
        with suppress(NoRoomError):
            add(store, reason, size)
        assert store.size <= most * BLOCK
        assert disk.free() >= reserve * BLOCK
        assert store.size == disk.capacity - disk.free()
        assert len(disk.files) == 2 * store.count
