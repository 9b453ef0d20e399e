"""The agent's rows on a tiny bundle: real parts, short slices."""

import json
from contextlib import ExitStack

import numpy as np
import pytest

from benchmarks import agent
from benchmarks.__main__ import render
from benchmarks.captures import capture_us
from benchmarks.eyes import ssim_full_ms
from benchmarks.monitoring import SIDE, Watched, busy, monitoring_ms, window_ms
from benchmarks.process import live
from benchmarks.rows import Row
from edge_agent.health import Health
from edge_agent.telemetry.outbox import Outbox
from tests.bundles import make_bundle


@pytest.fixture
def bundle(tmp_path):
    return make_bundle(tmp_path / "bundle")


def test_agent_rows(bundle, tmp_path, monkeypatch):
    """Frames flow while the tap is open; both sides give a figure."""
    monkeypatch.setattr(agent, "SLICE_S", 0.1)
    for name, row_of in (("fps", agent.agent_fps), ("overhead", agent.overhead_ms)):
        (tmp_path / name).mkdir()
        row = row_of(bundle, tmp_path / name, rounds=1)
        assert row.value > 0
        assert (row.ratio is not None) == (row.name == "agent_fps")


def test_capture_rows(bundle, tmp_path):
    """A frame that is kept costs the camera more than one that is not."""
    idle, taken = capture_us(bundle, tmp_path, rounds=2)
    assert 0 < idle.value < taken.value
    assert len(list((tmp_path / "captures").glob("*.jpg"))) == 2


def test_monitoring_rows(bundle, tmp_path):
    """Within twice the budget, on a machine that does other things besides."""
    row = monitoring_ms(bundle, tmp_path, rounds=2)
    assert 0.02 < row.value < 2 * 0.3
    rows = window_ms(bundle, tmp_path, rounds=2)
    assert [one.name for one in rows] == ["window_ms", "window_80_ms"]
    assert all(0.5 < one.value < 2 * 5.0 for one in rows)


def test_what_is_measured_is_what_the_agent_does(bundle, tmp_path):
    """Each frame is counted and told, the window is in the health file and in the outbox."""
    with ExitStack() as stack:
        one = Watched(bundle, tmp_path, 80, stack, sampled=True)
        image = np.zeros((SIDE, SIDE, 3), np.uint8)
        for result in busy(80):
            one.frame(image, result)
        one.forward()
        one.close_window()
        assert one.loaded.drift.cameras["tap"].progress[0] == 16
    window = Health.read(tmp_path / "health.json").models["tiny"].windows[-1]
    assert window.inferred == 16 and len(window.counts["class"]) == 80
    outbox = Outbox(tmp_path / "outbox.sqlite", 1 << 20)
    told = {item.parcel.suffix: json.loads(item.parcel.payload) for item in outbox.waiting(100)}
    outbox.close()
    assert told["up/metrics/output"]["inferred"] == 16
    assert told["up/metrics/output"]["class_class_79"] >= 0
    assert {"up/metrics/system", "up/metrics/input", "up/metrics/classes"} <= set(told)


def test_ssim_row_checks_the_peer():
    """The speed is only given for equal results."""
    row = ssim_full_ms(rounds=1)
    assert row.ratio is not None and row.ratio < 1


def test_a_failing_process_has_no_figure():
    """The peer is absent when its command fails."""
    assert live(["false"]) is None
    life = live(["sleep", "0.05"])
    assert life is not None and life.seconds >= 0.05


def test_table_and_json():
    """Rows without a peer have dashes for people and nulls for programs."""
    rows = [Row("a", 1.5, "ms"), Row("b", 3.0, "s", "other", 1.5)]
    lines = render(rows).splitlines()
    assert lines[2].split()[-1] == "-" and lines[3].split()[-1] == "2.000"
    assert json.loads(json.dumps(rows[0].to_document()))["ratio"] is None
