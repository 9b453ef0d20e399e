"""Decoding alone: outputs as a head gives them, and a figure for each."""

import numpy as np
import pytest

from benchmarks.decode import CASES, OBJECTS, PLACE, SPEC, raw_output, row
from edge_agent.detection.decode import decode


@pytest.mark.parametrize("name", CASES)
def test_the_outputs_are_worth_decoding(name):
    """Most objects are found, from a few hundred candidates above the floor."""
    head, classes, rows = CASES[name]
    raw = raw_output(head, classes, rows)
    found, nonfinite = decode(raw, head, SPEC, PLACE)
    assert not nonfinite and OBJECTS <= len(found) <= 4 * OBJECTS
    scores = raw[0, 4:].max(0) if head == "yolov5u" else raw[0, :, 5:].max(1) * raw[0, :, 4]
    assert 100 < np.count_nonzero(scores > SPEC.floor) < 2000


def test_a_row():
    """Milliseconds."""
    measured = row("decode_classic_3_ms", rounds=1)
    assert 0 < measured.value < 1000 and measured.ratio is None
