"""Counting frames into windows, and what is sent and judged from them."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import numpy as np
import pytest

from edge_agent.config import Drift
from edge_agent.detection.detector import Result
from edge_agent.drift.skew import SkewMonitor
from edge_agent.drift.watch import DriftWatch
from edge_agent.gate import Statistics, Verdict
from edge_agent.loop.camera import FrameCounts
from edge_agent.monitors.histogram import Histograms
from edge_agent.monitors.latency import Speed
from edge_agent.monitors.outliers import Usual
from edge_agent.monitors.windows import WindowCounter
from edge_agent.telemetry.payloads import (
    health_window,
    input_message,
    output_message,
    system_message,
)
from edge_agent.telemetry.totals import frame_totals

CLASSES = ("scratch", "broken edge")
UNWATCHED = DriftWatch(
    {}, SkewMonitor(None, Drift(1.0, None, 24.0, 0.25, 300)), knob=1.0, classes=2, confidence=0.25
)
GOOD = Verdict(True, 0.9, Statistics(0.5, 0.1, 2.0, 0.05, 0.1), "SSIM 0.90")
DIRTY = Verdict(False, 0.4, Statistics(0.7, 0.05, 1.0, 0.0, 0.02), "SSIM 0.40 is below 0.60")


def result(*scores, nonfinite=False, ms=3.0):
    rows = [[0, 0, 10, 10, score, index % 2] for index, score in enumerate(scores)]
    detections = np.asarray(rows, np.float32).reshape(-1, 6)
    return Result(detections, nonfinite, ms / 3, ms / 3, ms / 3)


def counter():
    return WindowCounter(len(CLASSES), confidence=0.25)


def filled(drift=None):
    window = counter()
    window.inferred("top", GOOD, result(0.9, 0.27, 0.22, 0.1), size=(100, 100), gate_ms=1.0)
    window.inferred("top", GOOD, result(nonfinite=True, ms=6.0), size=(100, 100))
    window.inferred("side", None, result(0.5), size=(100, 100))
    window.skipped("top", DIRTY, 2.0)
    window.error()
    return window.close()


def test_outcomes_are_counted_once_each():
    """Every frame ends in one outcome; the next window begins empty."""
    window = counter()
    window.skipped("top", DIRTY, 1.0)
    window.close()
    report = window.close()
    assert (report.inferred, report.skipped, report.cameras) == (0, 0, {})
    report = filled()
    assert (report.inferred, report.skipped, report.errors, report.nonfinite) == (3, 1, 1, 1)
    assert (report.detections, report.candidates, report.near) == (3, 4, 2)
    assert report.latency.count == 3


def test_thresholds_of_the_line_change_what_is_reported_and_nothing_else():
    """Counts per class follow them; what is compared with the profile does not."""
    limit = np.asarray([0.6, 0.1], np.float32)
    plain, own = counter(), WindowCounter(len(CLASSES), 0.25, limit)
    for window in (plain, own):
        window.inferred("top", GOOD, result(0.9, 0.15, 0.5, 0.08), size=(100, 100))
    plain, own = plain.close(), own.close()
    assert (plain.reported.tolist(), own.reported.tolist()) == ([2, 0], [1, 1])
    assert own.detections == 2
    assert (own.candidates, own.near) == (3, 1)  # 0.15 - 0.1 is not near, 0.08 is
    said = output_message("m", CLASSES, own, UNWATCHED, {}).payload
    assert (said["class_scratch"], said["class_broken_edge"]) == (1, 1)
    for name, counts in plain.merged().counts.items():
        assert np.array_equal(counts, own.merged().counts[name]), name


def test_what_the_gate_rejects_is_not_in_the_output_histograms():
    """With action = flag the model judges dirty frames, but they are no evidence of drift."""
    window = counter()
    window.inferred("top", DIRTY, result(0.9), size=(10, 10))
    window.inferred("top", GOOD, result(0.9), size=(10, 10))
    report = window.close()
    assert report.detections == 2
    assert report.merged().frames == 1 and report.merged().counts["class"].sum() == 1
    assert report.cameras["top"].rejected == 1 and report.cameras["top"].skipped == 0


def test_a_likeness_to_the_camera_s_own_reference_is_no_outlier():
    """The profile's SSIM is to the bundle's picture: another number for the same frame."""
    profile = Histograms(len(CLASSES))
    profile.add("ssim", [0.6] * 30)
    window = WindowCounter(len(CLASSES), 0.25, usual=Usual(profile))
    window.inferred("bundle", GOOD, result(0.9), size=(100, 100))
    window.inferred("own", replace(GOOD, reference="default"), result(0.9), size=(100, 100))
    cameras = window.close().cameras
    assert (cameras["bundle"].outliers, cameras["bundle"].compared) == (1, 1)
    assert (cameras["own"].outliers, cameras["own"].compared) == (0, 0)
    assert cameras["own"].sums["ssim"] == (0.9, 1)


def test_cameras_may_count_at_the_same_time():
    """Four cameras on one model: nothing is lost between them."""
    window = counter()

    def work(name):
        for _ in range(200):
            window.inferred(name, GOOD, result(0.9), size=(10, 10))

    threads = [threading.Thread(target=work, args=(f"c{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report = window.close()
    assert report.inferred == report.merged().frames == report.latency.count == 800


def test_the_health_window_is_what_the_updater_reads():
    """Field by field, from counted frames."""
    window = health_window(
        filled(),
        FrameCounts(captured=6, dropped=1),
        seq=3,
        at=5.0,
        release="d",
        provider_ok=True,
        rss_mb=90.0,
    )
    assert (window.captured, window.inferred, window.skipped, window.dropped) == (6, 3, 1, 1)
    assert (window.errors, window.nonfinite, window.detections) == (1, 1, 3)
    assert window.latency_p50_ms == pytest.approx(3.0, rel=0.03)
    assert window.latency_p95_ms == pytest.approx(6.0, rel=0.03)
    assert window.counts["class"] == [2, 1] and sum(window.counts["score"]) == 5


def test_payloads_are_flat_and_leave_out_what_is_not_there():
    """No nesting, no NaN; a window without frames has no latency rather than zero."""
    empty = counter().close()
    quiet = [
        system_message({}, Speed(), {}, seconds=1.0),
        output_message("m", CLASSES, empty, UNWATCHED, {}),
    ]
    busy = filled()
    messages = [
        *quiet,
        system_message({"rss_mb": 1.0}, Speed(3, busy.latency), {"a": 1}, seconds=2.0),
        input_message("m", "top", busy.cameras["top"]),
        input_message("m", "side", busy.cameras["side"]),
        output_message("m", CLASSES, busy, UNWATCHED, {}),
    ]
    for message in messages:
        assert all(isinstance(v, (int, float, str)) for v in message.payload.values())
        json.dumps(dict(message.payload), allow_nan=False)
    assert not {"latency_p50_ms"} & set(quiet[0].payload)
    assert not {"gate_ms", "near_threshold_share"} & set(quiet[1].payload)
    assert "ssim_p50" not in messages[4].payload


def test_input_and_output_metrics_say_what_was_seen():
    """Values worked out by hand."""
    report = filled()
    seen = input_message("m", "top", report.cameras["top"]).payload
    assert (seen["frames"], seen["skipped"]) == (3, 1)
    assert seen["skipped_share"] == pytest.approx(1 / 3, abs=1e-4)
    assert seen["luminance"] == pytest.approx((0.5 + 0.5 + 0.7) / 3, abs=1e-4)
    assert (seen["ssim_min"], 0.88 <= seen["ssim_p50"] <= 0.92) == (0.4, True)
    said = output_message("m", CLASSES, report, UNWATCHED, {}).payload
    assert (said["class_scratch"], said["class_broken_edge"]) == (2, 1)
    assert said["near_threshold_share"] == 0.5
    assert said["gate_ms"] == pytest.approx(3.0 / 2), "it looked at two frames"
    totals = frame_totals(FrameCounts(9, 6, 1, 2, 0), during_swap=0, swaps=2, calls=8)
    assert totals["frames_captured_total"] == 9 and totals["swaps_total"] == 2
    assert totals["inference_calls_total"] == 8
