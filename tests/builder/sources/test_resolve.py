"""Files as sources."""

from __future__ import annotations

import os

import pytest

from builder.sources import resolve
from edge_agent.bundle import hash_file
from edge_agent.errors import UsageError


def test_local_file(tmp_path):
    """Version 1 of a model named after the file, at the file's time."""
    path = tmp_path / "line 3 (best).pt"
    path.write_bytes(b"weights")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    found = resolve(str(path), downloads=tmp_path)
    assert (found.name, found.version, found.created) == ("line-3-best", 1, "2023-11-14T22:13:20Z")
    assert found.sha256 == hash_file(path)
    assert not found.registered


def test_missing_file(tmp_path):
    """The message says what a source can be."""
    with pytest.raises(UsageError, match=r"nothing\.pt: no such file.*models:/name@production"):
        resolve(str(tmp_path / "nothing.pt"), downloads=tmp_path)


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("ftp://host/best.pt", "ftp: is no scheme that sources may have; give models:/name@alias"),
        ("https://user:secret@host/best.pt?token=secret", "https: is no scheme"),
        ("s3://bucket/best.pt?X-Amz-Signature=" + 300 * "0", "s3: is no scheme"),
        ("s3:/bucket/best.pt", "s3: is no scheme"),
        ("model:/squares@production", 'model: is no scheme .*did you mean "models"'),
    ],
)
def test_an_address_is_named_by_its_scheme(source, named, tmp_path):
    """Not taken for a file; what may be secret in it is not repeated."""
    with pytest.raises(UsageError, match=named) as caught:
        resolve(source, downloads=tmp_path)
    assert "on this disk (download it first)" in str(caught.value)
    assert "secret" not in str(caught.value) and "no such file" not in str(caught.value)


def test_a_file_may_be_named_like_an_address(tmp_path, monkeypatch):
    """A colon is a letter like others on this disk."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s3:").mkdir()
    (tmp_path / "s3:" / "best.pt").write_bytes(b"weights")
    assert resolve("s3:/best.pt", downloads=tmp_path).name == "best"
