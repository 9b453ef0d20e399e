"""Stages of a frame as quantiles, and the numbers that say whether the network is sound."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edge_agent.config import Drift
from edge_agent.detection.detector import Result
from edge_agent.drift.skew import SkewMonitor
from edge_agent.drift.watch import DriftWatch
from edge_agent.monitors.latency import Speed, Stages, quantiles, stage_values
from edge_agent.monitors.sketch import Sketch
from edge_agent.monitors.windows import WindowCounter
from edge_agent.telemetry.payloads import classes_message, output_message, system_message

NOTHING = np.zeros((0, 6), np.float32)
SKEW = SkewMonitor(None, Drift(1.0, None, 24.0, 0.25, 300))
DRIFT = DriftWatch({}, SKEW, knob=1.0, classes=2, confidence=0.25)
STAGES = ("capture", "gate", "preprocess", "infer", "postprocess", "end_to_end")


def counted(*frames):
    """A window of (detections, timings) on a picture of 100 x 100."""
    window = WindowCounter(2, confidence=0.25)
    for detections, timings in frames:
        result = Result(np.asarray(detections, np.float32).reshape(-1, 6), False, 1.0, 20.0, 2.0)
        window.inferred("top", None, result, size=(100, 100), **timings)
    return window.close()


def test_every_stage_is_told_as_quantiles():
    """Each stage has its mean and three quantiles, to the sketch's 2 %."""
    times = [{"gate_ms": g, "capture_ms": 5.0, "end_to_end_ms": 40.0} for g in (0.5, 0.5, 9.0)]
    report = counted(*((NOTHING, one) for one in times))
    said = output_message("m", ("a", "b"), report, DRIFT, {"provider_ok": 0}).payload
    wanted = {
        f"{stage}{end}" for stage in STAGES for end in ("_ms", "_p50_ms", "_p95_ms", "_p99_ms")
    }
    assert wanted <= set(said)
    assert said["gate_p50_ms"] == pytest.approx(0.5, rel=0.02)
    assert said["gate_p99_ms"] == pytest.approx(9.0, rel=0.02)
    assert said["gate_ms"] == pytest.approx(10.0 / 3, rel=1e-4)
    assert said["end_to_end_p95_ms"] == pytest.approx(40.0, rel=0.02)
    assert said["provider_ok"] == 0


def test_a_stage_that_was_not_timed_is_absent():
    """No gate and a camera whose clock runs ahead: three stages are left, none of them zero."""
    report = counted((NOTHING, {"capture_ms": -3.0, "end_to_end_ms": -1.0}))
    names = set(stage_values(report.stages))
    assert {name.partition("_")[0] for name in names} == {"preprocess", "infer", "postprocess"}
    assert stage_values(Stages()) == {} and quantiles("x", Sketch()) == {}


def test_the_device_tells_its_speed_over_all_releases():
    """Latency and end to end come from merged sketches; p99 of two windows is the larger's."""
    speed = Speed()
    for ms, frames in ((10.0, 98), (300.0, 2)):
        report = counted(*[(NOTHING, {"end_to_end_ms": ms})] * frames)
        speed.end_to_end.merge(report.stages.end_to_end)
        speed.latency.merge(report.latency)
        speed.inferred += report.inferred
    said = system_message({}, speed, {}, seconds=4.0).payload
    assert said["throughput_fps"] == 25.0
    assert said["end_to_end_p95_ms"] == pytest.approx(10.0, rel=0.02)
    assert said["end_to_end_p99_ms"] == pytest.approx(300.0, rel=0.02)
    assert said["latency_p99_ms"] == pytest.approx(23.0, rel=0.02)


def test_saturated_scores_and_boxes_beside_the_picture_are_counted():
    """A score of 1 and a box without area are what no sound network gives."""
    boxes = [
        [10, 10, 20, 20, 1.0, 0],
        [0, 30, 0, 40, 0.99, 1],  # beside the picture: clipped to its border
        [30, 50, 40, 50, 0.2, 1],
        [0, 0, 100, 100, 0.1, 0],
    ]
    report = counted((boxes, {}), (NOTHING, {}))
    assert (report.saturated, report.outside, report.kept) == (1, 2, 4)
    said = output_message("m", ("a", "b"), report, DRIFT, {}).payload
    assert (said["saturated"], said["outside"], said["empty_share"]) == (1, 2, 0.5)


def test_each_camera_has_its_own_class_mix():
    """Counts per class and the share of empty frames, as reported; the gate's rejects left out."""
    report = counted(
        ([[0, 0, 9, 9, 0.9, 1], [0, 0, 9, 9, 0.8, 1], [0, 0, 9, 9, 0.1, 0]], {}),
        ([[0, 0, 9, 9, 0.2, 0]], {}),
    )
    outputs = report.cameras["top"].outputs
    assert (outputs.frames, outputs.empty, outputs.holding.tolist()) == (2, 1, [0, 1])
    said = classes_message("m", "top", ("a", "b b"), report.cameras["top"]).payload
    assert (said["class_a"], said["class_b_b"], said["empty_share"]) == (0, 2, 0.5)
    assert (said["model"], said["camera"], said["detections"]) == ("m", "top", 2)


@pytest.mark.parametrize("q", [0.01, 0.5, 0.95, 0.99, 1.0])
@pytest.mark.parametrize("kind", ["uniform", "lognormal", "two humps"])
def test_the_relative_error_of_merged_sketches_is_bounded(q, kind):
    """sqrt(1.04) - 1 = 1.98 %, however the values are spread over the sketches."""
    rng = np.random.default_rng(7)
    values = {
        "uniform": rng.uniform(0.01, 5000, 4000),
        "lognormal": rng.lognormal(3, 1.5, 4000),
        "two humps": np.concatenate((rng.normal(12, 0.1, 3000), rng.normal(900, 5, 1000))),
    }[kind]
    merged = Sketch()
    for part in np.array_split(values, 7):
        sketch = Sketch()
        for value in part:
            sketch.add(float(value))
        merged.merge(sketch)
    exact = float(np.quantile(values, q, method="inverted_cdf"))
    assert abs(merged.quantile(q) / exact - 1) <= math.sqrt(1.04) - 1 + 1e-9
