"""From frames to verdicts, across restarts, and with files that were damaged."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import numpy as np
import pytest

from edge_agent.config import Drift
from edge_agent.drift import memory
from edge_agent.drift.history import History, Rules
from edge_agent.drift.layout import FEATURES, Layout, values_of
from edge_agent.drift.skew import SkewMonitor
from edge_agent.drift.watch import CameraWatch, DriftWatch, Glance
from edge_agent.errors import StorageError
from edge_agent.gate import Statistics
from edge_agent.monitors.windows import WindowReport
from edge_agent.telemetry.events import drift_event
from edge_agent.telemetry.payloads import drift_message, output_message
from tests.edge_agent.drift.streams import LAYOUT, blocks

RULES = Rules(1.0, 0.0)
NOON = time.mktime((2026, 5, 4, 12, 0, 0, 0, 0, -1))


class Clock:
    """Moves a second per question."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 1.0
        return self.now


def glance(seq, rng, *, shift=0.0):
    """A frame with none to three boxes."""
    number = int(rng.integers(0, 4))
    rows = np.zeros((number, 6), np.float32)
    rows[:, :2] = rng.uniform(0, 40, (number, 2))
    rows[:, 2:4] = rows[:, :2] + rng.uniform(5, 50, (number, 2))
    rows[:, 4] = np.sort(rng.beta(6, 2, number) - shift)[::-1]
    rows[:, 5] = rng.integers(0, 2, number)
    statistics = Statistics(
        rng.normal(0.5, 0.05),
        rng.normal(0.2, 0.02),
        rng.normal(2.5, 0.2),
        rng.normal(0.02, 0.01),
        rng.normal(0.1, 0.02),
    )
    return Glance(rows, (100, 100), statistics, None, seq, NOON)


def watch_of(path, spacing_s=1.0):
    camera = CameraWatch("top", Layout(2), RULES, spacing_s, path)
    skew = SkewMonitor(None, Drift(1.0, None, 24.0, 0.25, 300))
    return DriftWatch({"top": camera}, skew, classes=2, confidence=0.25, clock=Clock())


def run(watch, frames, rng, **change):
    """Look at frames, settle after each hundred; all verdicts."""
    judged = []
    for seq in range(frames):
        watch.look("top", glance(seq, rng, **change))
        if seq % 100 == 99:
            judged += watch.settle()[0]
    return judged


def test_a_change_is_one_event_and_survives_a_restart(tmp_path):
    """Scores fall; a new process knows what was usual, that it is raised, and when it is over."""
    path, rng = tmp_path / "top" / "drift-1.json", np.random.default_rng(0)
    watch = watch_of(path)
    assert watch.cameras["top"].progress == (0, 2000)
    assert not run(watch, 2000, rng) and watch.cameras["top"].progress == (0, 300)
    assert not any(one.after.raised for one in run(watch, 800, rng))
    again = watch_of(path)
    judged = run(again, 600, rng, shift=0.2)
    events = [one for one in judged if bool(one.before.raised) != bool(one.after.raised)]
    assert len(events) == 1 and again.raised
    payload = drift_event("tiny", events[0]).payload
    assert payload["kind"] == "drift.suspected" and payload["features"] == ["score"]
    assert (payload["against"], payload["camera"]) == ("baseline", "top")
    assert payload["text"].startswith("tiny: camera top differs from its own past in score (s")
    assert watch_of(path).raised


def test_what_is_sent_is_flat(tmp_path):
    """Numbers only, each feature with its chance, effect and distances; progress beside."""
    rng, watch = np.random.default_rng(1), watch_of(tmp_path / "drift-1.json")
    judged = run(watch, 2300, rng)
    payload = drift_message("tiny", judged[-1]).payload
    assert {f"chance_{name}" for name in FEATURES} < set(payload)
    assert payload["baseline_samples"] == 2000 and payload["samples"] == 300
    assert "psi_score" in payload and "ks_class" not in payload and "psi_ssim" not in payload
    json.dumps(dict(payload), allow_nan=False)
    said = output_message("tiny", ("a", "b"), WindowReport(2), watch, {}).payload
    assert (said["drift_samples"], said["drift_samples_needed"]) == (300, 300)


def test_frames_between_do_not_count_and_others_cameras_are_left_alone(tmp_path):
    """One frame per spacing; a camera that is not watched is no error."""
    rng, watch = np.random.default_rng(2), watch_of(tmp_path / "drift-1.json", spacing_s=5.0)
    for seq in range(50):
        watch.look("top", glance(seq, rng))
        watch.look("side", glance(seq, rng))
    assert watch.cameras["top"].progress[0] == 10


def test_nothing_counts_until_the_spacing_is_learnt(tmp_path):
    """Then it is kept with the history."""
    path, rng = tmp_path / "drift-1.json", np.random.default_rng(3)
    watch = watch_of(path, spacing_s=None)
    camera = watch.cameras["top"]
    for seq in range(3000):
        watch.look("top", glance(seq, rng))
    assert camera.spacing.seconds is not None and 6.0 <= camera.spacing.seconds < 40.0
    run(watch, 4000, rng)
    assert watch_of(path, spacing_s=None).cameras["top"].spacing.seconds == camera.spacing.seconds


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


def test_a_history_comes_back_as_it_was(tmp_path):
    """Every number, also of the ring and the sums."""
    history = History.begin(LAYOUT)
    for one in blocks(30):
        history.add(one, RULES)
    path = tmp_path / "new" / "drift-1.json"
    memory.write(path, history, 7.5)
    again, spacing_s = memory.read(path, LAYOUT)
    assert spacing_s == 7.5
    assert memory.document_of(again, 7.5) == memory.document_of(history, 7.5)
    assert again.findings() == history.findings()


def test_histories_of_long_gone_releases_are_removed(tmp_path):
    """The newest four stay."""
    for number in range(6):
        memory.write(tmp_path / f"drift-{number}.json", History.begin(LAYOUT), None)
    assert len(list(tmp_path.glob("drift-*.json"))) == 4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema_version": 9}, "only 1 is known"),
        ({"classes": 7}, "are not the model's 4"),
        ({"features": ["score"]}, "not those of this version"),
        ({"grouping": [1.0]}, "grouping: should hold"),
        ({"baseline": [{"hour": 3, "frames": 1, "counts": [-1]}]}, "should hold"),
        ({"baseline": [{"hour": 30, "frames": 1, "counts": []}]}, "above the most allowed"),
        ({"sums": [[1.0]]}, "sums: "),
        ({"raised": ["taste"]}, "names what is no feature"),
        ({"extra": 1}, "is not a known key"),
    ],
)
def test_a_damaged_history_is_named(tmp_path, change, words):
    """Each fault with its place."""
    document = memory.document_of(History.begin(LAYOUT), None) | change
    path = tmp_path / "drift-1.json"
    path.write_text(json.dumps(document))
    with pytest.raises(StorageError, match=words):
        memory.read(path, LAYOUT)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff"])
def test_a_truncated_file_does_not_stop_the_device(tmp_path, content, caplog):
    """It is logged, and what is usual is learnt anew."""
    path = tmp_path / "drift-1.json"
    path.write_bytes(content)
    watch = watch_of(path)
    assert watch.cameras["top"].history.learning and "learnt anew" in caplog.text
    run(watch, 100, np.random.default_rng(5))
    assert memory.read(path, Layout(2))[0].baseline.samples == 100


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    """Counting goes on."""
    (tmp_path / "file").write_text("")
    watch = watch_of(tmp_path / "file" / "drift-1.json", spacing_s=1.0)
    run(watch, 100, np.random.default_rng(6))
    assert "is not kept" in watch.cameras["top"].trouble
    assert watch.cameras["top"].history.baseline.samples == 100
