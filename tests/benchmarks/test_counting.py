"""The figures of counting: they measure what they say."""

from __future__ import annotations

import json

from benchmarks.counting import BOXES, fill, main, result
from edge_agent.monitors.windows import WindowCounter


def test_figures_are_plausible_and_within_the_budget(capsys):
    """Counting a frame costs far less than 0.3 ms, a window's end less than 5 ms."""
    assert main(["--rounds", "10"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert 1 < figures["frame_us"] <= 300
    assert 0 < figures["slices_ms"] + figures["reading_ms"] <= 5


def test_the_frame_has_what_is_counted():
    """Thirty boxes of all classes, some of them reported."""
    window = WindowCounter(5, confidence=0.25)
    fill(window, 2)
    report = window.close()
    assert len(result().detections) == BOXES and report.inferred == 2
    assert 0 < report.detections < 2 * BOXES and (report.reported > 0).all()
