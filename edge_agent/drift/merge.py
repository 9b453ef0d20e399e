"""Histories of two agents that watched the same kind of picture, as one. Pure.

All that a history knows are counts, so what is merged is what one agent would know that had counted
all frames itself: blocks are put in the order of their time, the newest stay in the ring, what was
usual for either is usual. Cumulative sums are added up anew over the ring. Blocks that still fill
are no part of a history.
"""

from __future__ import annotations

import numpy as np

from edge_agent.drift.baseline import Baseline
from edge_agent.drift.history import RING, Block, History, is_full
from edge_agent.drift.verdict import Standing


def merge(first: History, second: History) -> History:
    """One history of both; neither is changed.

    What either has frozen stays frozen. An alarm that stands for one stands for both.

    Raises:
        ValueError: they are not of the same classes, or one has an embedding.
    """
    layout, pair = first.layout, (first, second)
    if layout.classes != second.layout.classes:
        raise ValueError(f"{layout.classes} classes and {second.layout.classes} do not merge")
    if layout.names != second.layout.names:
        raise ValueError("one with the features of an embedding and one without do not merge")
    baseline, learnt_s = Baseline.empty(layout), first.learnt_s + second.learnt_s
    for one in pair:
        baseline.add(one.baseline.counts, one.baseline.frames)
    baseline.complete = first.baseline.complete or second.baseline.complete
    ring = sorted((block for one in pair for block in one.ring), key=_order)
    if not baseline.complete:
        for block in ring[:-RING]:
            block.learn(baseline)
            learnt_s += block.seconds
        baseline.complete = is_full(baseline.samples, learnt_s)
    learning = first.learning and second.learning
    zeros = np.zeros((2, len(layout.ordered)))
    merged = History(
        layout,
        baseline,
        learnt_s=learnt_s,
        blocks=first.blocks + second.blocks,
        grouping=np.zeros(0) if learning else baseline.per_frame(),
        ring=ring[-RING:],
        sums=zeros,
        runs=zeros.copy(),
        standing=_standing(first.standing, second.standing),
    )
    if baseline.complete:
        for block in merged.ring:
            merged.accumulate(block)
    return merged


def _standing(first: Standing, second: Standing) -> Standing:
    raised = [one for one in (first, second) if one.raised]
    calm = min((one.calm for one in raised), default=0)
    return Standing(first.raised | second.raised, calm)


def _order(block: Block) -> tuple[float, bytes]:
    """By time, and the same whichever history came first."""
    return block.ended, block.total.tobytes()
