"""mAP on cases whose result is known without a computer."""

from __future__ import annotations

import numpy as np
import pytest

from builder.accuracy.coco import measure
from builder.accuracy.labels import Labels

pytest.importorskip("faster_coco_eval", reason="the builder extra is not installed")
SIZES = {"a": (100, 200), "b": (100, 200)}
TRUTH = {
    "a": np.array([[0, 0.5, 0.5, 0.4, 0.2]], np.float32),  # 30, 80 to 70, 120
    "b": np.array([[1, 0.5, 0.5, 0.4, 0.2]], np.float32),
}


def found(**rows):
    """Detections per picture."""
    return {name: np.asarray(rows.get(name, []), np.float32).reshape(-1, 6) for name in "ab"}


def accuracy(truth, detections):
    """mAP over two classes."""
    return measure(Labels(truth, ()), detections, SIZES, ("cat", "dog"))


def test_perfect_is_one():
    """Every box found, nothing else."""
    result = accuracy(TRUTH, found(a=[[30, 80, 70, 120, 0.9, 0]], b=[[30, 80, 70, 120, 0.8, 1]]))
    assert (result.map50, result.map50_95) == (1.0, 1.0)
    assert (result.images, result.objects) == (2, 2)


def test_one_of_two_classes_is_a_half():
    """The mean over classes."""
    result = accuracy(TRUTH, found(a=[[30, 80, 70, 120, 0.9, 0]]))
    assert result.map50 == pytest.approx(0.5)


def test_a_shifted_box_counts_at_low_overlap_only():
    """8 of 40 pixels off: IoU 2/3 passes 0.5, 0.55, 0.6 and 0.65 of ten thresholds."""
    shifted = found(a=[[38, 80, 78, 120, 0.9, 0]], b=[[38, 80, 78, 120, 0.9, 1]])
    result = accuracy(TRUTH, shifted)
    assert result.map50 == 1.0
    assert result.map50_95 == pytest.approx(0.4)


def test_swapped_classes_are_nothing():
    """The right boxes under the wrong names."""
    result = accuracy(TRUTH, found(a=[[30, 80, 70, 120, 0.9, 1]], b=[[30, 80, 70, 120, 0.8, 0]]))
    assert result.map50 == 0.0


@pytest.mark.parametrize("truth", [TRUTH, {"a": np.zeros((0, 5), np.float32)}])
def test_nothing_found_or_nothing_there(truth):
    """Zero, not an exception."""
    assert accuracy(truth, found()).map50_95 == 0.0
