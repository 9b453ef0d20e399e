"""What goes first when there is no room."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.captures.ring import BLOCK, Kept, Ring, on_disk


def kept(number, reason, size=BLOCK):
    return Kept(number, reason, (f"{number}.json", f"{number}.jpg"), size, 0.0)


def test_the_oldest_of_the_most_plentiful_reason_goes_first():
    """Rare captures outlive plentiful ones that are younger."""
    ring = Ring([kept(n, "check" if n > 2 else "rare") for n in range(1, 8)])
    victims = ring.victims(4 * BLOCK, "baseline")
    assert [victim.number for victim in victims] == [3, 4, 5, 1]


def test_the_incoming_one_counts_as_one_of_its_kind():
    """Of two kinds that are equal, that which comes gives way."""
    ring = Ring([kept(1, "rare"), kept(2, "check")])
    assert [victim.number for victim in ring.victims(BLOCK, "check")] == [2]
    assert [victim.number for victim in ring.victims(BLOCK, "baseline")] == [1]


def test_enough_or_nothing():
    """Nothing goes when all of it would not be enough; no byte is asked for, no one goes."""
    ring = Ring([kept(1, "check"), kept(2, "rare")])
    assert ring.victims(0, "check") == []
    assert ring.victims(2 * BLOCK + 1, "check") is None
    assert len(ring.victims(2 * BLOCK, "check")) == 2
    assert len(ring) == 2, "asking changes nothing"


def test_bytes_are_counted_as_disks_give_them():
    """In pieces of 4096."""
    assert [on_disk(size) for size in (0, 1, 4096, 4097)] == [0, 4096, 4096, 8192]


captures = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(1, 5 * BLOCK)), max_size=40
)


@given(captures, st.integers(0, 100 * BLOCK), st.sampled_from(["a", "b", "c"]))
def test_victims_are_few_and_fair(captures, size, incoming):
    """No more than needed; each one was the oldest of a reason that had the most left."""
    items = [kept(number, reason, own) for number, (reason, own) in enumerate(captures)]
    ring = Ring(items)
    victims = ring.victims(size, incoming)
    if victims is None:
        assert size > sum(item.size for item in items)
        return
    freed = [victim.size for victim in victims]
    assert sum(freed) >= size and sum(freed[:-1]) < max(size, 1)
    for victim in victims:
        left = Counter(item.reason for item in items)
        rank = {reason: count + (reason == incoming) for reason, count in left.items()}
        assert rank[victim.reason] == max(rank.values())
        assert victim == next(item for item in items if item.reason == victim.reason)
        items.remove(victim)
        ring.remove(victim)
    assert ring.size == sum(item.size for item in items)
