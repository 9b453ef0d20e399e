"""Engines on disk, ours and ultralytics'."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.bundle import Bundle
from edge_agent.engines.key import EngineKey
from edge_agent.engines.plan import read_plan
from edge_agent.engines.shelf import Shelf
from tests.bundles import make_bundle

KEY = EngineKey(
    "0" * 64,
    "trt-rtx",
    "1.7",
    "8.6",
    "any",
    "any",
    "fp32",
    ((1, 3, 64, 64),) * 3,
    ("workspace=64",),
)


@pytest.fixture
def bundle(tmp_path) -> Bundle:
    """A small bundle."""
    return make_bundle(tmp_path / "bundle")


def test_an_engine_is_found_by_its_key(bundle):
    """And by no other; the bundle stays whole with it."""
    from dataclasses import replace

    shelf = Shelf(bundle.root)
    assert shelf.find(KEY) is None
    path = shelf.put(KEY, "fp32", b"plan")
    assert shelf.find(KEY) == path and path.read_bytes() == b"plan"
    assert shelf.find(replace(KEY, driver="other")) is None
    bundle.verify()


@pytest.mark.parametrize("damage", ["plan", "card", "key", "gone"])
def test_a_damaged_engine_is_not_found(bundle, damage):
    """It is built again instead of being loaded."""
    shelf = Shelf(bundle.root)
    path = shelf.put(KEY, "fp32", b"plan")
    card = path.with_name("engine.json")
    if damage == "plan":
        path.write_bytes(b"plam")
    elif damage == "card":
        card.write_text("{")
    elif damage == "key":
        document = json.loads(card.read_text())
        document["key"]["gpu"] = "another"
        card.write_text(json.dumps(document))
    else:
        path.unlink()
    assert shelf.find(KEY) is None


def test_timings_are_kept(bundle):
    """Empty ones are not."""
    shelf = Shelf(bundle.root)
    shelf.keep_timings(b"")
    assert shelf.timing_cache == b""
    shelf.keep_timings(b"times")
    assert Shelf(bundle.root).timing_cache == b"times"


def test_ultralytics_header_is_recognised():
    """4 bytes of length, JSON, plan."""
    metadata = {"names": {"0": "cat"}, "imgsz": [640, 640], "stride": 32}
    text = json.dumps(metadata).encode()
    plan = read_plan(len(text).to_bytes(4, "little") + text + b"ftrt plan")
    assert plan.metadata == metadata
    assert plan.data == b"ftrt plan"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x02",
        b"ftrt0123456789",
        (2).to_bytes(4, "little") + b"[]plan",
        (9).to_bytes(4, "little") + b"{}",
        (5).to_bytes(4, "little") + b"{\xff\xff\xff}plan",
    ],
)
def test_a_bare_plan_stays_as_it_is(data):
    """No header, or none that is whole."""
    assert read_plan(data).data == data
    assert read_plan(data).metadata is None


@given(st.binary(max_size=64))
def test_any_bytes_are_a_plan(data):
    """Never an exception; the plan is always the end of the file."""
    assert data.endswith(read_plan(data).data)
