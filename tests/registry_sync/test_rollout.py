"""The rollout document and its cohort rule."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.errors import RepositoryError
from registry_sync.rollout import Gate, Pin, Rollout, Wave, cohort, takes_part

DIGEST = "ab" * 32
WAVES = (Wave(0.1, 1800.0), Wave(1.0))
DOCUMENT = Rollout(
    group="line-1", revision=3, rollout="defects-2-r3", model="defects", release=2, digest=DIGEST,
    previous=Pin(1, "cd" * 32), waves=WAVES, selector={"site": ["hall-1", "hall-2"]},
    gate=Gate(trial_s=8.0, deadline_s=60.0), issued="2026-11-23T12:00:00Z", reason="better recall",
)  # fmt: skip
NAMES = st.from_regex(r"[a-z0-9-]{1,20}", fullmatch=True)


def faults(**changes: object) -> str:
    """What parsing says of the document with these fields changed."""
    document = json.loads(DOCUMENT.to_bytes()) | changes
    with pytest.raises(RepositoryError) as error:
        Rollout.parse(json.dumps(document).encode(), where="rollouts/line-1.json")
    return str(error.value)


def test_bytes_and_back():
    """What is signed reads back as the same document, to the byte."""
    data = DOCUMENT.to_bytes()
    assert Rollout.parse(data) == DOCUMENT
    assert Rollout.parse(data).to_bytes() == data


def test_every_fault_is_listed():
    """All faults in one line, with the nearest right name."""
    text = faults(digest="xyz", wave=2, gate={"trail_s": 5}, state="stopped", extra=1)
    assert text.startswith("rollouts/line-1.json: ")
    for part in ("digest:", "wave: 2 is not one of 2", 'did you mean "trial_s"', "state:", "extra"):
        assert part in text


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"schema_version": 2}, "update Outpost"),
        ({"waves": [{"share": 0.5}, {"share": 0.1}]}, "should grow"),
        ({"waves": []}, "at least 1"),
        ({"gate": {"trial_s": 100, "deadline_s": 50}}, "not above trial_s"),
        ({"gate": {"latency_ratio": 0.5}}, "latency_ratio"),
        ({"group": "../etc"}, "group"),
        ({"revision": 0}, "revision"),
    ],
)
def test_refused(changes, part):
    """Documents that make no sense are refused, and say why."""
    assert part in faults(**changes)


@given(st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["gate", "waves", "share", "group"]), inner, max_size=3),
    max_leaves=8,
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_garbage_is_refused_in_one_line(data):
    """Any bytes give a document or a RepositoryError, never another exception."""
    with pytest.raises(RepositoryError) as error:
        Rollout.parse(data)
    assert "\n" not in str(error.value)


@given(NAMES, st.floats(0, 1), st.floats(0, 1))
def test_a_wave_only_adds_devices(device, first, second):
    """Who is in a smaller share is in every larger one."""
    small, large = sorted((first, second))
    shares = (Wave(small), Wave(large))
    early = takes_part(device, {"site": "hall-1"}, replace(DOCUMENT, waves=shares, wave=0))
    late = takes_part(device, {"site": "hall-1"}, replace(DOCUMENT, waves=shares, wave=1))
    assert late or not early
    assert not takes_part(device, {"site": "hall-1"}, replace(DOCUMENT, waves=(Wave(0.0),)))


def test_cohorts_are_even_and_differ_per_rollout():
    """A tenth of many devices is in a 10 % wave, and another tenth in the next rollout."""
    devices = [f"cell-{number}" for number in range(5000)]
    first = {name for name in devices if cohort(name, "r1") < 0.1}
    second = {name for name in devices if cohort(name, "r2") < 0.1}
    assert 420 < len(first) < 580
    assert len(first & second) < 100


@pytest.mark.parametrize(
    ("tags", "inside"),
    [({"site": "hall-1"}, True), ({"site": "hall-9"}, False), ({}, False)],
)
def test_selector(tags, inside):
    """A selector wants every tag it names; a list means any of these."""
    assert takes_part("cell-1", tags, replace(DOCUMENT, wave=1)) is inside
