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
