"""Decode and NMS against small cases done by hand and against a plain loop."""

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.bundle import DecodeSpec
from edge_agent.detection.decode import above, decode, nms_sorted
from edge_agent.detection.preprocess import Placement

SPEC = DecodeSpec(confidence=0.25, iou=0.7, max_detections=300, floor=0.05)
SAME = Placement(1.0, 1.0, 0, 0, 100, 80)


def v5u(*boxes: tuple[float, ...]) -> np.ndarray:
    """Raw (1, 4+nc, N) output from rows of cx, cy, w, h, scores."""
    return np.ascontiguousarray(np.asarray(boxes, np.float32).T[None])


def test_best_class_and_corners():
    """One box: centre and size become corners, the best class wins."""
    detections, nonfinite = decode(v5u((50, 40, 20, 10, 0.2, 0.9)), "yolov5u", SPEC, SAME)
    assert not nonfinite
    assert detections.tolist() == [pytest.approx([40, 35, 60, 45, 0.9, 1])]


def test_anchor_head_multiplies_objectness():
    """The same box in the anchor form has score objectness x class."""
    raw = np.asarray([[[50, 40, 20, 10, 0.5, 0.2, 0.9]]], np.float32)
    detections, _ = decode(raw, "yolov5-anchor", SPEC, SAME)
    assert detections.tolist() == [pytest.approx([40, 35, 60, 45, 0.45, 1])]


@pytest.mark.parametrize("head", ["yolov5u", "yolov5-anchor"])
def test_nothing_above_the_floor(head):
    """An empty scene gives (0, 6), for a raw output of any length."""
    for rows in (0, 3):
        shape = (1, 6, rows) if head == "yolov5u" else (1, rows, 7)
        detections, nonfinite = decode(np.zeros(shape, np.float32), head, SPEC, SAME)
        assert detections.shape == (0, 6) and detections.dtype == np.float32
        assert not nonfinite


def test_floor_is_strict_and_order_is_by_score():
    """A score at the floor is dropped; the rest come best first, ties as in the output."""
    raw = v5u((10, 10, 5, 5, 0.05), (30, 30, 5, 5, 0.3), (50, 50, 5, 5, 0.8), (70, 70, 5, 5, 0.3))
    detections, _ = decode(raw, "yolov5u", SPEC, SAME)
    assert detections[:, 0].tolist() == [47.5, 27.5, 67.5]


def test_boxes_go_back_to_the_picture_and_stay_in_it():
    """Border and gain are undone per axis, then the box is clipped."""
    placement = Placement(0.5, 0.25, 10, 20, 100, 80)
    detections, _ = decode(v5u((20, 30, 10, 5, 0.9)), "yolov5u", SPEC, placement)
    assert detections[0, :4].tolist() == [10, 30, 30, 50]
    detections, _ = decode(v5u((0, 0, 500, 500, 0.9)), "yolov5u", SPEC, placement)
    assert detections[0, :4].tolist() == [0, 0, 100, 80]


def test_overlap_of_one_class_is_suppressed_of_two_is_not():
    """NMS drops the weaker of two equal boxes, unless their classes differ."""
    same = v5u((50, 40, 20, 10, 0.9, 0), (50, 40, 20, 10, 0.8, 0))
    other = v5u((50, 40, 20, 10, 0.9, 0), (50, 40, 20, 10, 0, 0.8))
    assert len(decode(same, "yolov5u", SPEC, SAME)[0]) == 1
    assert len(decode(other, "yolov5u", SPEC, SAME)[0]) == 2


def test_overlap_at_the_threshold_stays():
    """IoU 1/3 is not above a threshold of 1/3, and is above a smaller one."""
    corners = np.asarray([[0, 0, 2, 2], [1, 0, 3, 2]], np.float32)
    third = float(np.float32(2) / np.float32(6))
    assert nms_sorted(corners, third, 300).tolist() == [0, 1]
    assert nms_sorted(corners, third - 1e-9, 300).tolist() == [0]


def test_max_detections():
    """The best so many are kept."""
    rows = [(10 * i, 10, 5, 5, 0.1 + i / 100) for i in range(20)]
    spec = DecodeSpec(0.25, 0.7, 5, 0.05)
    detections, _ = decode(v5u(*rows), "yolov5u", spec, Placement(1, 1, 0, 0, 900, 900))
    assert detections[:, 4].tolist() == pytest.approx([0.29, 0.28, 0.27, 0.26, 0.25])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("head", ["yolov5u", "yolov5-anchor"])
@pytest.mark.parametrize("column", [0, 3, 4, 5])
def test_nonfinite_rows_are_reported_and_left_out(bad, head, column):
    """NaN or Inf anywhere is seen, its row gives no detection, the others do."""
    rows = np.asarray([[10, 10, 5, 5, 0.9, 0.9], [50, 50, 5, 5, 0.8, 0.8]], np.float32)
    rows[0, column] = bad
    raw = rows[None] if head == "yolov5-anchor" else np.ascontiguousarray(rows.T)[None]
    detections, nonfinite = decode(raw, head, SPEC, SAME)
    assert nonfinite
    assert len(detections) == 1 and detections[0, 0] == 47.5


def test_all_nonfinite():
    """A network of NaN gives no detection and no error."""
    detections, nonfinite = decode(np.full((1, 7, 9), np.nan, np.float32), "yolov5u", SPEC, SAME)
    assert nonfinite and detections.shape == (0, 6)


@pytest.mark.parametrize("head", ["yolov5u", "yolov5-anchor"])
def test_large_numbers_are_finite(head):
    """Their sum is beyond float32, none of them is."""
    rows = np.asarray([[3e38, 3e38, 5, 5, 0.9, 0.9], [50, 50, 5, 5, 0.8, 0.8]], np.float32)
    raw = rows[None] if head == "yolov5-anchor" else np.ascontiguousarray(rows.T)[None]
    detections, nonfinite = decode(raw, head, SPEC, SAME)
    assert nonfinite is False and len(detections) == 2


def test_the_class_of_a_tie_is_the_first_of_the_products():
    """A score and its neighbour give one float32 product: that decides, as published."""
    low, objectness = np.float32(0.43939394), np.float32(0.3)
    high = np.nextafter(low, np.float32(1))
    assert low * objectness == high * objectness
    raw = np.asarray([[[50, 40, 20, 10, objectness, low, high]]], np.float32)
    detections, _ = decode(raw, "yolov5-anchor", SPEC, SAME)
    assert detections[0, 5] == 0


def test_above_is_strict():
    """The confidence itself is not above it."""
    rows = np.zeros((3, 6), np.float32)
    rows[:, 4] = 0.9, 0.25, 0.1
    assert len(above(rows, 0.25)) == 1
    assert len(above(rows, 0.0)) == 3


def plain_nms(corners: np.ndarray, threshold: float) -> list[int]:
    """Greedy NMS as one writes it on paper."""
    kept: list[int] = []
    for i, (x0, y0, x1, y1) in enumerate(corners):
        for j in kept:
            a0, b0, a1, b1 = corners[j]
            width, height = min(x1, a1) - max(x0, a0), min(y1, b1) - max(y0, b0)
            common = max(width, np.float32(0)) * max(height, np.float32(0))
            union = (a1 - a0) * (b1 - b0) + (x1 - x0) * (y1 - y0) - common
            if union > 0 and float(common / union) > threshold:
                break
        else:
            kept.append(i)
    return kept


@settings(max_examples=150, deadline=None)
@given(
    arrays.arrays(
        np.float32, st.tuples(st.integers(0, 25), st.just(4)), elements=st.integers(0, 8)
    ),
    st.sampled_from([0.0, 0.2, 1 / 3, 0.5, 0.6, 0.7, 1.0]),
)
def test_nms_equals_the_plain_loop(boxes, threshold):
    """On small integer boxes, empty and equal ones among them, both keep the same."""
    corners = np.concatenate((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]), axis=1)
    assert nms_sorted(corners, threshold, 300).tolist() == plain_nms(corners, threshold)
