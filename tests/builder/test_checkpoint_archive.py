"""The zip around a checkpoint: what is not one, what is damaged, what is built to do harm."""

from __future__ import annotations

import struct
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from builder.checkpoint import read_checkpoint
from builder.errors import CheckpointError
from tests.builder.forge import Tensor, dump, network, write_archive

LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03." + b"\0" * 100


@pytest.fixture
def good(tmp_path) -> Path:
    """A valid checkpoint with one deflated entry of zeros, a thousandth of its size when packed."""
    zeros = Tensor(np.zeros(250_000, "<f4"), key="zeros")
    return write_archive(
        tmp_path / "best.pt", dump({"model": network(extra=zeros)}), packed=("data/zeros",)
    )


def refused(path: Path) -> str:
    """Return the sentence with which `path` is refused, after checking that it came quickly."""
    start = time.process_time()
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    assert time.process_time() - start < 2
    return str(caught.value)


def patch(path: Path, name: str, **fields: int) -> None:
    """Change fields of the entry `name` in the zip's directory."""
    layout = {"method": (10, "<H"), "flags": (8, "<H"), "crc": (16, "<I"), "packed": (20, "<I")}
    layout |= {"size": (24, "<I"), "offset": (42, "<I")}
    data = bytearray(path.read_bytes())
    at = data.rindex(b"archive/" + name.encode()) - 46
    for field, value in fields.items():
        offset, form = layout[field]
        struct.pack_into(form, data, at + offset, value)
    path.write_bytes(data)


_METADATA = b'{"description": "Ultralytics YOLOv5n model", "imgsz": [64, 64]}'
ENGINE = len(_METADATA).to_bytes(4, "little") + _METADATA + b"ftrt" + b"\0" * 60


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"epoch,loss\n1,0.5\n", "is a text file that begins 'epoch,loss\\n1,0.5\\n'"),
        (b"<!DOCTYPE html><html>" + b"x" * 900, "is a text file that begins '<!DOCTYPE html>"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (LEGACY, "before version 1.6"),
        (b"\x80\x04N.", "is a bare pickle"),
        (b"\x08\x08\x12\x07pytorch" + b"\xff" * 64, "is not a zip (it begins with bytes 08 08"),
        (ENGINE, "is an engine of ultralytics (description Ultralytics YOLOv5n model, imgsz [64,"),
        (ENGINE, "give the .pt file that it was exported from"),
        (b"ftrt" + b"\0" * 60, "is a TensorRT engine, compiled for one GPU"),
        (b"PK\x03\x04" + b"\0" * 60, "is cut short"),
        (b"PK\x05\x06" + b"\0" * 18, "has no data.pkl"),
    ],
)
def test_what_is_no_checkpoint_is_named(tmp_path, content, reason):
    """The files that people hand over by mistake are called what they are."""
    path = tmp_path / "best.pt"
    path.write_bytes(content)
    assert reason in refused(path).replace("\\\\n", "\\n")


def test_missing_file_and_folder(tmp_path):
    """The operating system's reason, with the file's name."""
    assert refused(tmp_path / "none.pt").startswith(f"{tmp_path}/none.pt: No such file")
    assert "Is a directory" in refused(tmp_path)


def test_other_zips_are_named(tmp_path):
    """A TorchScript export, an archive of files, and a checkpoint from a big-endian machine."""
    script = write_archive(tmp_path / "script.pt", dump({}), **{"constants.pkl": b""})
    assert "TorchScript" in refused(script)
    other = tmp_path / "photos.zip"
    with zipfile.ZipFile(other, "w") as target:
        target.writestr("a/1.txt", "")
        target.writestr("b/2.txt", "")
    assert "zip of other things (b/2.txt)" in refused(other)
    big = write_archive(tmp_path / "big.pt", dump({}), byteorder=b"big")
    assert "big-endian" in refused(big)


@pytest.mark.parametrize("share", [0.999, 0.9, 0.5, 0.1, 0.01])
def test_truncated_files(good, share):
    """A download that stopped is told apart from a wrong file."""
    data = good.read_bytes()
    good.write_bytes(data[: int(len(data) * share)])
    assert "is cut short" in refused(good)


def test_each_flipped_bit_in_weights_is_noticed(good):
    """The CRC of every entry that is used is checked: silent damage would be another model."""
    data = bytearray(good.read_bytes())
    data[data.index(b"archive/data/1") + 40] ^= 1
    good.write_bytes(data)
    assert "damaged entry archive/data/1 (CRC or size)" in refused(good)


@pytest.mark.parametrize(
    ("name", "fields", "reason"),
    [
        ("data/zeros", {"size": 2**31}, "inflates to 2147483648 bytes"),
        ("data/zeros", {"size": 1000}, "but 1000 bytes for it"),
        ("data/zeros", {"packed": 5}, "damaged entry archive/data/zeros"),
        ("data/zeros", {"packed": 2**31}, "outside of the file"),
        ("data/1", {"size": 8}, "sizes contradict"),
        ("data/1", {"offset": 2**31}, "outside of the file"),
        ("data/1", {"offset": 0}, "overlaps another"),
        ("data/1", {"method": 12}, "zip method 12"),
        ("data/1", {"flags": 1}, "encrypted"),
        ("data/1", {"crc": 0}, "CRC or size"),
    ],
)
def test_lying_directory(good, name, fields, reason):
    """Zip bombs declare sizes or share bytes; both are seen before anything is unpacked."""
    patch(good, name, **fields)
    assert reason in refused(good)


def test_inflating_more_than_declared_stops(good):
    """An entry that claims to be small is not unpacked beyond what it claims."""
    patch(good, "data.pkl", crc=1)
    assert "archive/data.pkl (CRC or size)" in refused(good)


@pytest.mark.parametrize(
    "name", ["../evil", "archive/../evil", "/etc/passwd", "archive/a\\b", "./x", "archive//x"]
)
def test_path_tricks(good, name):
    """Nothing is ever unpacked to disk, but such a file was not written by PyTorch."""
    with zipfile.ZipFile(good, "a") as target:
        target.writestr(zipfile.ZipInfo(name), b"")
    assert "unsafe path" in refused(good)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicate_entries(good):
    """Two readers could each take another one of the two."""
    with zipfile.ZipFile(good, "a") as target:
        target.writestr("archive/data.pkl", b"N.")
    assert "archive/data.pkl twice" in refused(good)


def test_endless_directories(tmp_path):
    """The directory is bounded before it is read."""
    path = tmp_path / "best.pt"
    with zipfile.ZipFile(path, "w") as target:
        for number in range(20_001):
            target.writestr(f"archive/data/{number}", b"")
    assert "lists 20001 entries" in refused(path)
