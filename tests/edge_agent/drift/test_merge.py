"""Two histories as one: what one agent would know that had counted everything."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge_agent.drift import memory
from edge_agent.drift.history import RING, History
from edge_agent.drift.layout import Layout
from edge_agent.drift.merge import merge
from edge_agent.drift.verdict import Standing
from tests.edge_agent.drift.streams import LAYOUT, blocks


def timed(number, *, seed=0, seconds=5000.0):
    """Blocks with the times at which they ended."""
    several = blocks(number, seed=seed, seconds=seconds)
    return [replace(one, ended=1e9 + index * seconds) for index, one in enumerate(several)]


def counted(several):
    """A history of these blocks alone."""
    history = History.begin(LAYOUT)
    for one in several:
        history.add(one, 0.0)
    return history


def document(history):
    """All that it knows."""
    return memory.document_of(history, None)


def test_it_is_what_counting_all_together_gives():
    """Two agents took every other block of 110: baseline by the hour, ring, and every finding."""
    several = timed(110)
    together = counted(several)
    merged = merge(counted(several[::2]), counted(several[1::2]))
    same = document(together) | {"grouping": merged.grouping.tolist()}
    assert document(merged) == same
    assert len(merged.ring) == RING and merged.baseline.samples == 100 * (110 - RING)
    regrouped = History(LAYOUT, together.baseline, grouping=merged.grouping, ring=together.ring)
    assert merged.findings() == regrouped.findings()
    assert merged.add(timed(111)[-1], 0.0) and merged.conclude(1.0).findings


def test_no_count_is_lost_while_both_still_learn():
    """And the next block ends the learning where the two together have enough."""
    several = timed(21)
    merged = merge(counted(several[:12]), counted(several[12:20]))
    assert merged.learning and merged.baseline.samples == 2000
    assert (merged.baseline.counts == sum(_hourly(one) for one in several[:20])).all()
    merged.add(several[20], 0.0)
    assert not merged.learning


def _hourly(block):
    made = np.zeros((24, LAYOUT.size), np.int64)
    for hour, counts in block.counts.items():
        made[hour] += counts
    return made


@pytest.mark.parametrize("lengths", [(30, 40, 50), (5, 90, 3), (10, 20, 130)])
def test_the_order_does_not_matter(lengths):
    """Commutative, and associative while nothing is frozen."""
    a, b, c = (
        counted(timed(number, seed=seed, seconds=600.0)) for seed, number in enumerate(lengths)
    )
    assert document(merge(a, b)) == document(merge(b, a))
    assert document(merge(merge(a, b), c)) == document(merge(a, merge(b, c)))
    assert document(merge(a, History.begin(LAYOUT)))["baseline"] == document(a)["baseline"]


def test_what_is_frozen_stays_and_sums_begin_with_the_ring():
    """Neither of the two is changed."""
    full, young = counted(timed(200)), counted(timed(30, seed=1))
    before = document(full), document(young)
    merged = merge(full, young)
    assert merged.baseline.complete
    assert merged.baseline.samples == full.baseline.samples + young.baseline.samples
    assert merged.sums.any() and merged.runs.max() <= RING
    assert (document(full), document(young)) == before


def test_an_alarm_of_either_stands():
    """With the features of both; the calm is that of the less calm one."""
    a, b = counted(timed(30)), counted(timed(30, seed=1))
    a.standing = Standing(frozenset({"score"}), 2)
    assert merge(a, b).standing == merge(b, a).standing == a.standing
    b.standing = Standing(frozenset({"class"}), 1)
    assert merge(a, b).standing == Standing(frozenset({"score", "class"}), 1)


def test_other_classes_do_not_merge():
    """Their counts are of other things."""
    with pytest.raises(ValueError, match="4 classes and 2"):
        merge(History.begin(LAYOUT), History.begin(Layout(2)))
