"""The rules, over any state."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.watch.memory import alone, load, save
from builder.watch.rules import (
    MOST_ATTEMPTS,
    MOST_PAUSE_S,
    STATUSES,
    Build,
    GiveUp,
    Memory,
    Seen,
    Wait,
    backoff_s,
    begun,
    decide,
    owing,
    settled,
    told,
)
from edge_agent.errors import StorageError, UsageError

NOW = 1_800_000_000.0
MEMORIES = st.builds(
    Memory,
    version=st.integers(0, 3),
    status=st.sampled_from(STATUSES),
    attempts=st.integers(0, MOST_ATTEMPTS + 1),
    retry_at=st.floats(0, 2 * NOW),
    reason=st.text(max_size=20),
    outages=st.integers(0, 100),
    lost=st.booleans(),
    untagged=st.dictionaries(
        st.integers(1, 9), st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=2),
        max_size=2,
    ),
)  # fmt: skip
LOOKS = st.one_of(
    st.builds(Seen, st.one_of(st.none(), st.integers(1, 3))), st.just(Seen(error="no"))
)
CHANCE = st.floats(0, 1, exclude_max=True)


@given(MEMORIES, LOOKS, CHANCE)
def test_only_what_is_promoted_and_not_settled_is_built(memory, seen, chance):
    """In every state; and a pause is never zero nor endless."""
    action = decide(memory, seen, NOW, chance=chance)
    if isinstance(action, Wait):
        assert 0 < action.seconds <= MOST_PAUSE_S
    else:
        assert action.version == seen.version is not None
        assert action.version != memory.version or not memory.settled
    if isinstance(action, Build) and action.version == memory.version:
        assert memory.attempts < MOST_ATTEMPTS


@given(MEMORIES, st.integers(1, 3), CHANCE)
def test_attempts_end(memory, version, chance):
    """However it starts: a version that never gets an outcome is given up."""
    now, builds = NOW, 0
    for _ in range(500):
        action = decide(memory, Seen(version), now, chance=chance)
        if isinstance(action, GiveUp):
            memory = settled(memory, version, "failed")
        elif isinstance(action, Build):
            memory = begun(memory, version, now, poll_s=60.0, chance=chance)
            builds += 1
        else:
            now += action.seconds
    assert builds <= MOST_ATTEMPTS and memory.settled


@pytest.mark.parametrize("chance", [0.0, 0.999])
def test_backoff_grows_to_its_end(chance):
    """Doubles, with chance in half of it, up to a quarter of an hour."""
    pauses = [backoff_s(failures, 60.0, chance) for failures in range(1, 2000)]
    assert pauses[0] >= 30 and pauses[1] == 2 * pauses[0]
    assert pauses == sorted(pauses) and pauses[-1] <= MOST_PAUSE_S


@given(MEMORIES)
def test_memory_survives_the_disk(tmp_path_factory, memory):
    """What is written is what is read."""
    path = tmp_path_factory.mktemp("memory") / "memory.json"
    save(path, memory)
    assert load(path) == memory


def test_tags_that_are_owed():
    """Newer tags of a version take the place of older ones; told is told."""
    memory = owing(owing(Memory(), 1, {"a": "1"}), 1, {"a": "2"})
    assert memory.untagged == {1: {"a": "2"}}
    assert told(memory, 1).untagged == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "should be a table"),
        ('{"schema_version": 2}', "above the most allowed"),
        ('{"versoin": 1}', 'did you mean "version"'),
        ('{"status": "great"}', "is not one of"),
        ('{"untagged": {"x": 1}}', "should be a version"),
    ],
)
def test_damaged_memory(tmp_path, text, message):
    """One line with every fault and what to do."""
    path = tmp_path / "memory.json"
    path.write_text(text)
    with pytest.raises(StorageError, match=f"{message}.*delete it to begin anew"):
        load(path)


def test_two_watchers_are_one_too_many(tmp_path):
    """The second says so; after the first there is room again."""
    path = tmp_path / "deep" / "memory.json"
    with alone(path), pytest.raises(UsageError, match="another watch is at work"), alone(path):
        pass
    with alone(path):
        pass
