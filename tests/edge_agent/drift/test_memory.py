"""Histories on disk: they come back as they were, and what is damaged is named."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.drift import memory
from edge_agent.drift.gathering import Gathering
from edge_agent.drift.history import History
from edge_agent.drift.memory import Memory, Release
from edge_agent.errors import StorageError
from tests.edge_agent.drift.streams import LAYOUT, blocks
from tests.edge_agent.drift.watched import RELEASE, TWO, camera_of, run, watch_of


def kept_in(folder):
    return Memory(folder, RELEASE, LAYOUT)


def filled(frames=40):
    """A block that fills, with 40 frames of one hour."""
    block = blocks(1, seed=3)[0]
    counts = {5: np.minimum(block.total, frames // 4)}
    for feature in LAYOUT.features:
        counts[5][feature.place][1:] = 0
    return Gathering(LAYOUT, {5: frames}, counts, 240.0, 1e9)


def test_a_history_comes_back_as_it_was(tmp_path):
    """Every number, also of the ring and the sums."""
    history = History.begin(LAYOUT)
    for one in blocks(30):
        history.add(one, 0.0)
    kept = kept_in(tmp_path / "new")
    kept.write(kept.encode(history, 7.5))
    again, spacing_s = kept.read()
    assert spacing_s == 7.5
    assert memory.document_of(again, 7.5) == memory.document_of(history, 7.5)
    assert again.findings() == history.findings() and again.chance == history.chance


def test_a_block_that_fills_comes_back_after_its_history_only(tmp_path):
    """With its spacing; one of another number of blocks is in the history already."""
    kept, gathering = kept_in(tmp_path), filled()
    assert kept.read_gathering(0) is None
    kept.write_gathering(kept.encode_gathering(gathering, 3, 6.5))
    again, spacing_s = kept.read_gathering(3)
    assert spacing_s == 6.5 and again.frames == {5: 40}
    assert (again.counts[5] == gathering.counts[5]).all()
    assert (again.seconds, again.ended) == (240.0, 1e9)
    assert kept.read_gathering(4) is None


def test_histories_of_long_gone_releases_are_removed(tmp_path):
    """The newest four stay, of both files."""
    for number in range(6):
        kept = Memory(tmp_path, Release(f"{number}" * 64, "fp32"), LAYOUT)
        kept.write_gathering(kept.encode_gathering(filled(), 0, None))
        kept.write(kept.encode(History.begin(LAYOUT), None))
    for kind in ("drift", "block"):
        assert len(list(tmp_path.glob(f"{kind}-*.json"))) == 4


HOUR = {"hour": 3, "frames": 1}
TIMES = {"seconds": 1, "ended": 1}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema_version": 9}, "only 2 is known"),
        ({"release": "cd" * 32}, "release: is not abab"),
        ({"variant": "int8"}, "variant: is int8, and fp32 runs"),
        ({"classes": 7}, "are not the model's 4"),
        ({"features": ["score"]}, "not those of this version"),
        ({"grouping": [1.0]}, "grouping: should hold"),
        ({"complete": True}, "grouping: is missing beside a baseline"),
        ({"baseline": [HOUR | {"counts": [-1]}]}, "should hold"),
        ({"baseline": [HOUR | {"counts": [0.5] * LAYOUT.size}]}, "should hold"),
        ({"baseline": [HOUR | {"counts": [1] * LAYOUT.size}]}, "more than one value per frame"),
        ({"baseline": [HOUR | {"counts": [0] * LAYOUT.size}] * 2}, "is there twice"),
        ({"baseline": [{"hour": 30, "frames": 1, "counts": []}]}, "above the most allowed"),
        ({"ring": [{"seconds": 1, "ended": 1, "hours": []}]}, "blocks of 100 frames"),
        ({"ring": [{"seconds": 1e300, "ended": 1, "hours": []}]}, "above the most allowed"),
        ({"sums": [[1.0]]}, "sums: "),
        ({"blocks": -1}, "blocks: "),
        ({"raised": ["taste"]}, "names what is no feature"),
        ({"extra": 1}, "is not a known key"),
    ],
)
def test_a_damaged_history_is_named(tmp_path, change, words):
    """Each fault with its place."""
    kept = kept_in(tmp_path)
    kept.write(kept.encode(History.begin(LAYOUT), None))
    kept.path.write_text(json.dumps(json.loads(kept.path.read_text()) | change))
    with pytest.raises(StorageError, match=words):
        kept.read()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"after_blocks": -1}, "after_blocks"),
        ({"variant": "int8"}, "and fp32 runs"),
        ({"block": 3}, "block"),
        ({"block": TIMES | {"hours": [HOUR | {"frames": 100}]}}, "fewer than 100"),
        ({"block": TIMES | {"seconds": -1, "hours": []}}, "seconds"),
    ],
)  # fmt: skip
def test_a_damaged_block_is_named(tmp_path, change, words):
    """It is as strict."""
    kept = kept_in(tmp_path)
    kept.write_gathering(kept.encode_gathering(filled(), 0, None))
    document = json.loads(kept.gathering_path.read_text())
    kept.gathering_path.write_text(json.dumps(document | change))
    with pytest.raises(StorageError, match=words):
        kept.read_gathering(0)


@given(st.binary(max_size=300), st.integers(0, 700))
def test_no_bytes_stop_the_device(tmp_path_factory, noise, at):
    """Whatever is in the files: a watch, or one error that says what is learnt anew."""
    kept = kept_in(tmp_path_factory.mktemp("noise"))
    kept.write_gathering(kept.encode_gathering(filled(), 0, None))
    text = kept.gathering_path.read_bytes()
    kept.gathering_path.write_bytes(text[:at] + noise)
    try:
        kept.read_gathering(0)
    except StorageError as error:
        assert "learnt anew" in str(error)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff"])
def test_a_truncated_file_does_not_stop_the_device(tmp_path, content, caplog):
    """It is logged, and what is usual is learnt anew."""
    kept = Memory(tmp_path, RELEASE, TWO)
    for path in (kept.path, kept.gathering_path):
        path.write_bytes(content)
    watch = watch_of(tmp_path)
    assert watch.cameras["top"].history.learning and caplog.text.count("learnt anew") == 2
    run(watch, 100, np.random.default_rng(5))
    assert kept.read()[0].baseline.samples == 100


def test_another_variant_begins_anew_and_says_so(tmp_path, caplog):
    """Its scores are others, though the release is the same."""
    run(watch_of(tmp_path), 200, np.random.default_rng(7))
    again = camera_of(tmp_path, release=replace(RELEASE, variant="int8"))
    assert again.history.blocks == 0 and "is fp32, and int8 runs" in caplog.text


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    """Counting goes on."""
    (tmp_path / "file").write_text("")
    watch = watch_of(tmp_path / "file")
    run(watch, 100, np.random.default_rng(6))
    assert "is not kept" in watch.cameras["top"].trouble
    assert watch.cameras["top"].history.baseline.samples == 100
