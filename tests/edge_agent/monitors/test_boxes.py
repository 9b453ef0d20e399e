"""What one camera's boxes were like."""

import numpy as np
import pytest

from edge_agent.monitors.boxes import BoxSums, cut

BOXES = np.asarray(
    [
        [0, 0, 20, 10, 0.9, 1],
        [50, 20, 60, 40, 0.5, 0],
        [10, 10, 10, 30, 0.4, 1],  # no width
        [0, 0, 10, 10, 0.27, 0],
        [0, 0, 10, 10, 0.22, 0],
        [0, 0, 10, 10, 0.1, 0],
    ],
    np.float32,
)


def test_means_of_what_is_reported():
    """Area, centre and score of the four above the limit; the flat one has no aspect."""
    sums = BoxSums(2)
    sums.add(cut(BOXES, 0.25, 2), (100, 50))
    sums.add(cut(BOXES[:0], 0.25, 2), (100, 50))
    assert sums.boxes.tolist() == [2, 2]
    assert (sums.scores / sums.boxes).tolist() == pytest.approx([0.385, 0.65], abs=1e-6)
    found = sums.means()
    assert found["box_area"] == pytest.approx((200 + 200 + 0 + 100) / 4 / 5000)
    assert found["box_x"] == pytest.approx((10 + 55 + 10 + 5) / 4 / 100)
    assert found["box_y"] == pytest.approx((5 + 30 + 20 + 5) / 4 / 50)
    assert found["box_aspect"] == pytest.approx(1.0)  # 2, 1/2 and 1
    assert (sums.near, sums.candidates) == (2, 5)


def test_each_class_may_have_its_own_limit():
    """As the line reports them."""
    sums = BoxSums(2)
    sums.add(cut(BOXES, np.asarray([0.6, 0.85], np.float32), 2), (100, 50))
    assert sums.boxes.tolist() == [0, 1]


def test_nothing_reported_has_no_means():
    """Absent, never zero."""
    sums = BoxSums(2)
    sums.add(cut(BOXES[5:], 0.25, 2), (100, 50))
    assert sums.means() == {} and sums.boxes.sum() == 0
