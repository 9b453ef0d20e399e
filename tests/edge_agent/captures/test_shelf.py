"""Reading back: what is wanted, what is damaged, while the agent goes on."""

from __future__ import annotations

import pytest

from edge_agent.captures.shelf import Wanted, read, remove
from edge_agent.errors import StorageError
from tests.edge_agent.captures.export.shelves import fill, frame, release, some
from tests.edge_agent.captures.simulator import record


def numbers(shelf):
    return [capture.number for capture in shelf.captures]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(), [1, 2, 3]),
        (Wanted(reason="baseline"), [2]),
        (Wanted(camera="top"), [1, 3]),
        (Wanted(camera="top", reason="check"), [3]),
        (Wanted(model="people"), []),
        (Wanted(numbers=(3, 1)), [1, 3]),
        (Wanted(since=frame(2).captured_at), [2, 3]),
        (Wanted(until=frame(2).captured_at), [1]),
        (Wanted(since=frame(2).captured_at, until=frame(3).captured_at), [2]),
    ],
)
def test_only_what_is_wanted(tmp_path, wanted, expected):
    """In the order of taking; every condition holds."""
    some(tmp_path)
    assert numbers(read(tmp_path, wanted)) == expected


def test_the_order_is_that_of_taking(tmp_path):
    """Also when the clock jumped back between two captures."""
    later = record(frame=frame(100), release=release())
    shelf = fill(tmp_path, later, record(frame=frame(1), release=release()))
    assert [capture.record.frame.seq for capture in shelf.captures] == [100, 1]


def test_damaged_captures_are_named_and_left_out(tmp_path):
    """A cut sidecar, a cut picture, a sidecar of another capture."""
    fill(tmp_path, *[record(frame=frame(n), release=release()) for n in range(1, 5)])
    (tmp_path / "00000001_top_check.json").write_text("{")
    picture = tmp_path / "00000002_top_check.jpg"
    picture.write_bytes(picture.read_bytes()[:-100])
    other = (tmp_path / "00000004_top_check.json").read_bytes()
    (tmp_path / "00000003_top_check.json").write_bytes(other)
    shelf = read(tmp_path, Wanted())
    assert numbers(shelf) == [4]
    assert [item.number for item in shelf.damaged] == [1, 2, 3]
    texts = [item.text for item in shelf.damaged]
    assert "damaged, not JSON" in texts[0] and "00000001_top_check.json" in texts[0]
    assert f"has {picture.stat().st_size} bytes, should have" in texts[1]
    assert "names the picture of another capture" in texts[2]
    remove(shelf.damaged)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "00000004_top_check.jpg",
        "00000004_top_check.json",
    ]


def test_what_goes_while_we_read_is_not_there(tmp_path):
    """The agent removes the sidecar first; a picture without one is nothing to a reader."""
    some(tmp_path)
    (tmp_path / "00000001_top_uncertain.json").unlink()
    (tmp_path / "00000002_side-2_baseline.jpg").unlink()
    shelf = read(tmp_path, Wanted())
    assert (numbers(shelf), shelf.damaged) == ([3], ())


def test_removing_twice_is_no_error(tmp_path):
    """The agent may have been quicker."""
    shelf = some(tmp_path)
    remove(shelf.captures)
    remove(shelf.captures)
    assert list(tmp_path.iterdir()) == []


def test_no_folder_is_one_clear_line(tmp_path):
    """Nothing was captured yet, or it was switched off."""
    with pytest.raises(StorageError, match=r"nothing was captured here yet, see \[capture\]"):
        read(tmp_path / "captures", Wanted())
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="is a file, not a folder"):
        read(tmp_path / "file", Wanted())
