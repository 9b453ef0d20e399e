"""Agreement and drift of two models, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from builder.accuracy.agreement import agree


def boxes(*rows):
    """Detections; each is (x, score, class) of a box of 20 pixels."""
    return np.array(
        [[x, 0, x + 20, 20, score, kind] for x, score, kind in rows], np.float32
    ).reshape(-1, 6)


def compared(reference, variant):
    """Agreement on one picture, confidence 0.25."""
    return agree({"p": reference}, {"p": variant}, confidence=0.25, classes=("cat", "dog"))


def test_the_same_agrees():
    """All pairs, no drift."""
    rows = boxes((0, 0.9, 0), (50, 0.5, 1))
    result = compared(rows, rows)
    assert (result.share, result.iou, result.boxes) == (1.0, pytest.approx(1.0), 4)
    assert result.worst_drift == 0.0


def test_a_missing_and_an_extra_box():
    """Of three reported boxes one pair (two boxes) agrees."""
    result = compared(boxes((0, 0.9, 0), (50, 0.5, 0)), boxes((0, 0.9, 0)))
    assert result.share == pytest.approx(2 / 3)
    assert compared(boxes(), boxes((0, 0.9, 0))).share == 0.0


def test_a_score_that_crosses_the_threshold_is_drift():
    """0.27 against 0.22: the box is there, and counts once."""
    result = compared(boxes((0, 0.27, 0)), boxes((0, 0.22, 0)))
    assert (result.share, result.boxes) == (1.0, 1)
    assert result.drift == {"cat": pytest.approx(-0.05)}


def test_another_class_is_no_partner():
    """The same place under another name."""
    assert compared(boxes((0, 0.9, 0)), boxes((0, 0.9, 1))).share == 0.0


def test_drift_is_a_mean_per_class():
    """Ups and downs of a class cancel out, classes do not."""
    result = compared(
        boxes((0, 0.8, 0), (50, 0.6, 0), (100, 0.5, 1)),
        boxes((0, 0.9, 0), (50, 0.5, 0), (100, 0.4, 1)),
    )
    assert result.drift == {"cat": pytest.approx(0.0, abs=1e-6), "dog": pytest.approx(-0.1)}
    assert result.worst_drift == pytest.approx(0.1)


def test_nothing_reported_agrees():
    """No box on either side is no disagreement."""
    assert compared(boxes(), boxes()).share == 1.0
