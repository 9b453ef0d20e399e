"""Blocks of a camera for the tests, from the benchmark's simulator."""

from __future__ import annotations

import numpy as np

from benchmarks.drift_streams import CLASSES, Change, Stream
from edge_agent.drift.grouping import BLOCK
from edge_agent.drift.history import Block
from edge_agent.drift.layout import Layout

LAYOUT = Layout(len(CLASSES))


def blocks(number, change=None, *, seed=0, seconds=5000.0, begin=0):
    """Independent blocks; each lies in the hour of the day of its begin."""
    stream = Stream(LAYOUT, 0.0, np.random.default_rng(seed))
    counts = stream.blocks(number, change or Change())
    hours = [int((begin + index) * seconds // 3600) % 24 for index in range(number)]
    return [
        Block({hour: BLOCK}, {hour: row}, seconds) for hour, row in zip(hours, counts, strict=True)
    ]
