"""Labels in YOLO's format, and every way in which they do not match."""

from __future__ import annotations

import numpy as np
import pytest

from builder.accuracy.labels import read_labels
from edge_agent.errors import SourceError, UsageError


def test_by_path_and_by_name(tmp_path):
    """``a/b.png`` has ``a/b.txt`` or ``b.txt``; a missing file is told, an empty one counts."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a/one.txt").write_text("1 0.5 0.5 0.25 0.5\n\n0 0.1 0.1 0.1 0.1\n")
    (tmp_path / "two.txt").write_text("2 0.5 0.5 0.2 0.2")
    (tmp_path / "empty.txt").write_text("")
    labels = read_labels(tmp_path, ["a/one.png", "b/two.jpg", "empty.png", "none.png"], 3)
    assert labels.missing == ("none.png",)
    assert {name: len(rows) for name, rows in labels.objects.items()} == {
        "a/one.png": 2,
        "b/two.jpg": 1,
        "empty.png": 0,
    }
    assert np.allclose(labels.objects["a/one.png"][0], [1, 0.5, 0.5, 0.25, 0.5])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1 0.5 0.5", "has 3 fields"),
        ("0 0 0 1 0 1 1", "has 7 fields"),
        ("cat 0.5 0.5 0.1 0.1", "is not five numbers"),
        ("0.5 0.5 0.5 0.1 0.1", "is not a class id"),
        ("0 nan 0.5 0.1 0.1", "finite"),
        ("3 0.5 0.5 0.1 0.1", "class 3, but the model has classes 0 to 2"),
        ("-1 0.5 0.5 0.1 0.1", "class -1"),
        ("0 320 240 64 64", "shares of the picture"),
    ],
)
def test_a_line_that_cannot_be_used(tmp_path, line, reason):
    """File, line and reason."""
    (tmp_path / "one.txt").write_text(f"0 0.5 0.5 0.1 0.1\n{line}\n")
    with pytest.raises(SourceError, match=rf"one\.txt:2: .*{reason}"):
        read_labels(tmp_path, ["one.png"], 3)


def test_bytes_that_are_no_text(tmp_path):
    """A picture in the place of a label file is a clear line too."""
    (tmp_path / "one.txt").write_bytes(b"\x89PNG\xff\xfe\x00")
    with pytest.raises(SourceError, match=r"one\.txt:1"):
        read_labels(tmp_path, ["one.png"], 3)


def test_folders_that_do_not_match(tmp_path):
    """No folder, or labels of other pictures."""
    with pytest.raises(UsageError, match="not a folder"):
        read_labels(tmp_path / "none", ["one.png"], 3)
    (tmp_path / "other.txt").write_text("")
    with pytest.raises(UsageError, match=r"none of the 2 .* one\.txt is looked for"):
        read_labels(tmp_path, ["one.png", "two.png"], 3)


def test_pictures_that_cannot_be_read_do_not_count(tmp_path):
    """What is left is measured; with nothing left the line says so, instead of an mAP of 0."""
    for name in ("one", "two"):
        (tmp_path / f"{name}.txt").write_text("0 0.5 0.5 0.1 0.1")
    labels = read_labels(tmp_path, ["one.png", "two.png", "three.png"], 3)
    left = labels.of({"two.png": None, "three.png": None})
    assert (list(left.objects), left.missing) == (["two.png"], ("three.png",))
    with pytest.raises(SourceError, match="none of the 2 labelled reference images can be read"):
        labels.of({"three.png"})
