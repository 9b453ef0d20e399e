"""From frames to verdicts."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from edge_agent.drift.layout import FEATURES, values_of
from edge_agent.metrics import Stamper
from edge_agent.monitors.windows import WindowReport
from edge_agent.telemetry.events import drift_event
from edge_agent.telemetry.payloads import drift_message, output_message
from tests.edge_agent.drift.watched import camera_of, glance, run, watch_of
from tests.schemas import faults


def test_a_change_is_one_event_and_survives_a_restart(tmp_path):
    """Scores fall; a new process knows what was usual, that it is raised, and when it is over."""
    rng = np.random.default_rng(0)
    watch = watch_of(tmp_path / "top")
    assert watch.cameras["top"].progress == (0, 2000)
    assert not run(watch, 2000, rng) and watch.cameras["top"].progress == (0, 300)
    assert not any(one.after.raised for one in run(watch, 800, rng))
    again = watch_of(tmp_path / "top")
    judged = run(again, 600, rng, shift=0.2)
    events = [one for one in judged if bool(one.before.raised) != bool(one.after.raised)]
    assert len(events) == 1 and again.raised
    payload = drift_event("tiny", events[0]).payload
    assert payload["kind"] == "drift.suspected" and payload["features"] == ["score"]
    assert (payload["against"], payload["camera"]) == ("baseline", "top")
    assert payload["text"].startswith("tiny: camera top differs from its own past in score (s")
    assert watch_of(tmp_path / "top").raised


def test_what_is_sent_is_flat(tmp_path):
    """Numbers only, each feature with its chance, effect and distances; progress beside."""
    rng, watch = np.random.default_rng(1), watch_of(tmp_path)
    judged = run(watch, 2300, rng)
    payload = drift_message("tiny", judged[-1]).payload
    assert {f"chance_{name}" for name in FEATURES} < set(payload)
    assert payload["baseline_samples"] == 2000 and payload["samples"] == 300
    assert "psi_score" in payload and "ks_class" not in payload and "psi_ssim" not in payload
    document = json.loads(Stamper("b").stamp(payload, ts=1.0, model_version=1))
    assert faults("metrics_drift", document) == []
    assert faults("metrics_drift", document | {"samples": "many"})
    said = output_message("tiny", ("a", "b"), WindowReport(2), watch, {}).payload
    assert (said["drift_samples"], said["drift_samples_needed"]) == (300, 300)


def test_frames_between_do_not_count_and_others_cameras_are_left_alone(tmp_path):
    """One frame per spacing; a camera that is not watched is no error."""
    rng, watch = np.random.default_rng(2), watch_of(tmp_path, spacing_s=5.0)
    run(watch, 50, rng)
    watch.look("side", glance(50, rng))
    assert watch.cameras["top"].progress[0] == 10


def test_nothing_counts_until_the_spacing_is_learnt(tmp_path):
    """Then it is kept, already with the first block that fills."""
    rng = np.random.default_rng(3)
    watch = watch_of(tmp_path, spacing_s=None)
    camera = watch.cameras["top"]
    while camera.spacing.seconds is None:
        assert camera.progress[0] == 0
        run(watch, 10, rng)
    assert 6.0 <= camera.spacing.seconds < 40.0
    run(watch, 100, rng)
    assert camera.history.blocks == 0 < camera.progress[0]
    assert (
        watch_of(tmp_path, spacing_s=None).cameras["top"].spacing.seconds == camera.spacing.seconds
    )


def test_values_of_a_frame():
    """One box speaks for its frame, always the same; without boxes there are only counts."""
    rng = np.random.default_rng(4)
    full = replace(glance(1, rng), detections=np.array(
        [[0, 0, 50, 20, 0.9, 1], [0, 0, 10, 10, 0.1, 0]], np.float32))  # fmt: skip
    common = {
        "confidence": 0.25,
        "size": (100, 100),
        "statistics": None,
        "ssim": 0.8,
        "embedded": {},
    }
    one = values_of(full.detections, seq=7, **common)
    assert one == values_of(full.detections, seq=7, **common)
    assert one["detections_per_frame"] == 1.0 and one["ssim"] == 0.8
    assert one["box_area"] == pytest.approx(0.1) and one["box_aspect"] == pytest.approx(2.5)
    assert (one["box_x"], one["box_y"], one["class"]) == (0.25, 0.1, 1.0)
    seen = {values_of(full.detections, seq=seq, **common)["score"] for seq in range(40)}
    assert len(seen) == 2
    empty = values_of(full.detections[:0], seq=7, **common)
    assert empty == {"detections_per_frame": 0.0, "ssim": 0.8}


def test_cameras_share_what_they_may_say(tmp_path):
    """Scores fall on one of two; the other one still learns and needs no budget."""
    watch = watch_of(tmp_path, cameras=("top", "side"))
    rng = np.random.default_rng(8)
    run(watch, 2600, rng)
    judged = run(watch, 400, rng, shift=0.25)
    assert {one.camera for one in judged} == {"top"} and watch.cameras["side"].history.learning
    assert watch.drifted == ("score (camera top against its past)",)
    assert watch.cameras["top"].seat.raised and watch.cameras["side"].seat.chance is None


def test_it_says_what_it_knew_at_its_start(tmp_path):
    """Of a release that is new to a camera, and of one that is remembered."""
    watch = watch_of(tmp_path)
    assert "is new to it; what is usual is learnt anew" in watch.cameras["top"].origin
    run(watch, 250, np.random.default_rng(9))
    assert camera_of(tmp_path).origin.startswith("remembers 2 blocks and")
