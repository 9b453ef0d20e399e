"""Blobs over real HTTP and from a folder: resumed, bounded, hashed, never half."""

from __future__ import annotations

import hashlib
import random

import pytest

from edge_agent.bundle import FileEntry
from edge_agent.errors import RepositoryError, StorageError
from registry_sync.device.fetcher import fetch
from registry_sync.device.transport import FileTransport, HttpTransport
from tests.registry_sync.web import serve

DATA = random.Random(1).randbytes(700_000)
HASH = hashlib.sha256(DATA).hexdigest()
ENTRY = FileEntry("model/fp32.onnx", len(DATA), HASH)
PATH = f"/{HASH}"


@pytest.fixture
def server(tmp_path):
    """A web server with one blob."""
    folder = tmp_path / "www"
    folder.mkdir()
    (folder / HASH).write_bytes(DATA)
    with serve(folder) as server:
        yield server


@pytest.fixture
def store(tmp_path):
    """An empty store."""
    return tmp_path / "store"


def get(store, server, entry=ENTRY, **more):
    """Fetch one blob over HTTP."""
    return fetch([entry], store, HttpTransport(timeout_s=2.0), server.url, **more)


def test_only_what_is_missing(store, server):
    """A blob arrives whole; asking again asks nobody."""
    assert get(store, server) == len(DATA)
    assert (store / HASH).read_bytes() == DATA
    assert get(store, server) == 0
    assert len(server.requests) == 1


def test_from_a_folder(store, server):
    """The same from a folder; half of it is there already."""
    store.mkdir()
    (store / f"{HASH}.part").write_bytes(DATA[:300_000])
    fetch([ENTRY], store, FileTransport(), server.folder.as_uri())
    assert (store / HASH).read_bytes() == DATA


def test_resumed_after_a_cut(store, server):
    """A cut connection leaves a part; the next try asks only for the rest."""
    server.cut[PATH] = 300_000
    with pytest.raises(RepositoryError):
        get(store, server)
    have = (store / f"{HASH}.part").stat().st_size
    assert 0 < have <= 300_000
    get(store, server)
    assert (store / HASH).read_bytes() == DATA
    assert server.requests[-1] == (PATH, f"bytes={have}-")
    assert not (store / f"{HASH}.part").exists()


def test_a_server_without_ranges(store, server):
    """Where ranges are ignored it begins anew, and is still right."""
    store.mkdir()
    (store / f"{HASH}.part").write_bytes(DATA[:100])
    server.ranges = False
    get(store, server)
    assert (store / HASH).read_bytes() == DATA


@pytest.mark.parametrize(
    ("lie", "part"),
    [
        (DATA[:-10], "ends after 699990 of 700000 bytes"),
        (DATA + b"more", "sends more than the 700000 bytes"),
        (DATA[:-1] + b"x", "is damaged"),
    ],
)
def test_lies_are_refused(store, server, lie, part):
    """Too short, too long, or another content: one line, and nothing gets the blob's name."""
    server.replace[PATH] = lie
    with pytest.raises(RepositoryError, match=part):
        get(store, server)
    assert not (store / HASH).exists()
    del server.replace[PATH]
    get(store, server)
    assert (store / HASH).read_bytes() == DATA


def test_a_rotten_part_is_not_trusted(store, server):
    """What an earlier run left is hashed too; a bad one is thrown away."""
    store.mkdir()
    (store / f"{HASH}.part").write_bytes(b"\0" * 1000)
    with pytest.raises(RepositoryError, match="damaged"):
        get(store, server)
    get(store, server)
    assert (store / HASH).read_bytes() == DATA


def test_missing_and_away(store, server, tmp_path):
    """No such blob, and nobody there, are told apart."""
    other = FileEntry("x", 5, "0" * 64)
    with pytest.raises(RepositoryError, match="answered 404"):
        get(store, server, other)
    with pytest.raises(RepositoryError, match="cannot be reached"):
        fetch([other], store, HttpTransport(timeout_s=0.5), "http://127.0.0.1:9")
    with pytest.raises(RepositoryError, match="is not there"):
        fetch([other], store, FileTransport(), (tmp_path / "gone").as_uri())


def test_no_space_is_found_before_the_download(store, server):
    """Blobs, 20 % and a reserve must fit; the message says how much is missing."""
    with pytest.raises(StorageError, match=r"64 MB with its reserve; free 15 MB"):
        get(store, server, free_bytes=lambda folder: 50 << 20)
    assert server.requests == []


def test_a_disk_that_fills_up(store, server):
    """ENOSPC in the middle is one line, and a later try goes on."""
    store.mkdir()
    (store / f"{HASH}.part").symlink_to("/dev/full")
    with pytest.raises(StorageError, match="the disk is full"):
        get(store, server)
    (store / f"{HASH}.part").unlink()
    get(store, server)
    assert (store / HASH).read_bytes() == DATA
