"""Sidecars: what was written is read back; everything else is refused with every fault."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.captures.record import Sidecar, parse
from edge_agent.errors import StorageError
from tests.edge_agent.captures.simulator import record

NAME = "00000007_top_check.jpg"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"detections": None, "gate": None},
        {"detections": (), "masked": True, "also": ("rare", "uncertain"), "evidence": {}},
    ],
)
def test_what_was_written_is_read_back(changes):
    """Equal, and the same bytes when written again."""
    sidecar = Sidecar(NAME, 1234, record(**changes))
    data = sidecar.to_bytes()
    assert parse(data, "x") == sidecar
    assert parse(data, "x").to_bytes() == data


def changed(path, value):
    """A sidecar's bytes with one value replaced, or removed when it is `...`."""
    document = json.loads(Sidecar(NAME, 1234, record()).to_bytes())
    place = document
    for key in path[:-1]:
        place = place[key]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (["schema_version"], 2, "its schema is 2, known is 1; update this program"),
        (["schema_version"], ..., "schema_version: is missing"),
        (["picture", "file"], "../../etc/passwd", "picture.file"),
        (["picture", "file"], "7_top_check.jpg", "picture.file"),
        (["picture", "bytes"], 0, "picture.bytes: 0 is below"),
        (["frame", "seq"], "seven", "frame.seq: should be a whole number"),
        (["frame", "boot"], ..., "frame.boot: is missing"),
        (["release", "digest"], "d", "release.digest"),
        (["release", "classes"], [], "release.classes: has 0 entries"),
        (["detections"], [[1, 2, 3]], "lists of 6 numbers"),
        (["detections"], [[9, 2, 3, 4, 0.5, 0]], "is not a box"),
        (["detections"], [[1, 2, 3, 4, 1.5, 0]], "is not a box"),
        (["detections"], [[1, 2, 3, 4, 0.5, 2]], "2 is not a class, there are 2"),
        (["detections"], [[1, 2, 3, 4, 0.5, 0.5]], "0.5 is not a class"),
        (["evidence"], {"deep": {"er": 1}}, "evidence.deep: should be a number"),
        (["evidence"], {"nan": float("nan")}, "evidence.nan"),
        (["gate", "scores"], {"ssim": "high"}, "gate.scores.ssim"),
        (["extra"], 1, "extra: is not a known key"),
        (["picture", "thumbnail"], "x", "picture.thumbnail: is not a known key"),
    ],
)
def test_each_fault_is_named(path, value, words):
    """With the file's name, in one line."""
    with pytest.raises(StorageError) as caught:
        parse(changed(path, value), "/data/captures/7.json")
    assert words in str(caught.value)
    assert str(caught.value).startswith("/data/captures/7.json: ")
    assert "\n" not in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=10,
)


@given(st.data())
def test_any_value_in_any_place_is_read_or_refused(data):
    """Never another error than StorageError."""
    document = json.loads(Sidecar(NAME, 1234, record()).to_bytes())
    paths = [[key] for key in document]
    paths += [[outer, key] for outer in ("picture", "frame", "release", "gate") for key in
              document[outer]]  # fmt: skip
    path = data.draw(st.sampled_from(paths))
    damaged = copy.deepcopy(document)
    place = damaged if len(path) == 1 else damaged[path[0]]
    place[path[-1]] = data.draw(json_values)
    try:
        sidecar = parse(json.dumps(damaged).encode(), "x")
    except StorageError:
        return
    assert parse(sidecar.to_bytes(), "x") == sidecar


@given(st.binary(max_size=60))
def test_any_bytes_are_refused(data):
    """A sidecar is never this short."""
    with pytest.raises(StorageError):
        parse(data, "x")


@given(st.integers(0, 10_000))
def test_a_truncated_sidecar_is_refused(length):
    """Wherever it was cut."""
    data = Sidecar(NAME, 1234, record()).to_bytes()
    if length < len(data) - 1:
        with pytest.raises(StorageError):
            parse(data[:length], "x")
