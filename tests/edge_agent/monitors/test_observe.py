"""Counting frames: the same for a profile and for a window."""

import numpy as np

from edge_agent.gate import Statistics
from edge_agent.monitors.histogram import Histograms
from edge_agent.monitors.observe import observe_input, observe_output, picture_values


def test_an_output_is_counted_once_per_feature():
    """Scores down to the floor, everything else above the confidence."""
    histograms = Histograms(3)
    detections = np.asarray(
        [[0, 0, 20, 10, 0.9, 2], [0, 0, 10, 10, 0.3, 0], [5, 5, 9, 9, 0.12, 1]], np.float32
    )
    observe_output(histograms, detections, confidence=0.25, width=100, height=100)
    counts = histograms.counts
    assert histograms.frames == 1
    assert counts["score"].sum() == 3
    assert counts["detections_per_frame"].tolist() == [0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    assert counts["class"].tolist() == [1, 0, 1]
    assert counts["box_area"].sum() == counts["box_aspect"].sum() == 2
    assert counts["box_aspect"][7] == 1, "20 x 10 is an aspect of 2, between 1.67 and 2.5"


def test_an_empty_frame_counts_as_empty():
    """No detection is an observation of the frame, of nothing else."""
    histograms = Histograms(1)
    observe_output(histograms, np.zeros((0, 6), np.float32), confidence=0.2, width=9, height=9)
    assert histograms.frames == 1
    assert histograms.counts["detections_per_frame"][0] == 1
    assert histograms.counts["score"].sum() == 0


def test_boxes_without_height_do_not_divide_by_zero():
    """A box clipped to the border has an area of 0 and no aspect."""
    histograms = Histograms(1)
    flat = np.asarray([[0, 5, 9, 5, 0.9, 0]], np.float32)
    observe_output(histograms, flat, confidence=0.2, width=9, height=9)
    assert histograms.counts["box_area"][0] == 1
    assert histograms.counts["box_aspect"].sum() == 0


def test_input_without_a_reference_has_no_ssim():
    """What was not measured is not counted."""
    histograms = Histograms(1)
    observe_input(histograms, picture_values(Statistics(0.5, 0.2, 2.0, 0.05, 0.1), None))
    observe_input(histograms, picture_values(Statistics(0.5, 0.2, 2.0, 0.05, 0.1), 0.97))
    assert histograms.counts["ssim"].sum() == 1
    assert histograms.counts["luminance"].sum() == histograms.counts["sharpness"].sum() == 2
