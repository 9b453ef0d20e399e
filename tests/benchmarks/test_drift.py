"""The simulated cameras are what they claim to be, and the document has what is read from it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from benchmarks.drift import CHANGES, Device, main, theory
from benchmarks.drift_cost import main as cost
from benchmarks.drift_streams import CLASSES, Change, Stream, distributions
from edge_agent.drift.layout import Layout

LAYOUT = Layout(len(CLASSES))
PLACE = {feature.name: feature.place for feature in LAYOUT.features}


def test_the_document(capsys):
    """The three keys, and per change the distribution beside theory."""
    asked = ["--device-months", "2", "--trials", "2", "--plain-hours", "0.5", "--jobs", "1"]
    assert main([*asked, "--json", "--rho", "0.99", "--seed", "3"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["alarms_per_device_month"] == document["alarms"] / 2
    assert document["plain_psi_alarms_per_device_month"] > 10
    assert set(document["power"]) == set(CHANGES)
    for one in document["power"].values():
        assert one["blocks_p10"] <= one["blocks_p50"] <= one["blocks_p90"]
    assert main([*asked, "--trials", "0"]) == 0
    assert capsys.readouterr().out.startswith("alarms per device-month: ")


def test_cameras_share_the_knob(capsys):
    """Two cameras that change together; theory pays for the second one, too."""
    asked = ["--device-months", "1", "--trials", "1", "--plain-hours", "0.1", "--jobs", "1"]
    assert main([*asked, "--cameras", "2", "--together", "--json", "--rho", "0.997"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["cameras"] == 2 and document["together"] is True
    assert set(document["power"]) == set(CHANGES)
    one, two = (Device(0.99, 10.0, 1.0, cameras=number) for number in (1, 2))
    change = CHANGES["class_share_0.2_by_20_percent"]
    assert theory(two, change, knowing=False) > theory(one, change, knowing=False)
    assert theory(two, change, knowing=True) == theory(one, change, knowing=True)


def test_features_have_the_distribution_that_they_should():
    """200,000 independent frames: each bin's share, changed or not."""
    for change in (Change(), *CHANGES.values()):
        stream = Stream(LAYOUT, 0.0, np.random.default_rng(1))
        counts = stream.blocks(2000, change).sum(0)
        for name, shares in distributions(change).items():
            seen = counts[PLACE[name]]
            assert shares.sum() == pytest.approx(1.0)
            assert seen / seen.sum() == pytest.approx(shares, abs=0.006), name


def test_neighbours_are_as_alike_as_asked():
    """Block means of a feature vary as an AR(1) process' do: (1 + rho) / (1 - rho) times more."""
    spreads = []
    for rho in (0.0, 0.9):
        stream = Stream(LAYOUT, rho, np.random.default_rng(2))
        counts = stream.blocks(2000, Change(), 1000)[:, PLACE["luminance"]]
        spreads.append((counts @ np.arange(counts.shape[1])).var())
    assert spreads[1] / spreads[0] == pytest.approx(19.0, rel=0.15)


def test_the_device_leaves_hardly_any_correlation():
    """And no frame counts within six seconds of another."""
    for rho in (0.0, 0.9, 0.99, 0.997):
        device = Device(rho, 10.0, 1.0)
        assert device.step >= 60 and rho**device.step < 0.01


def test_theory_is_the_normal_one():
    """15 % of boxes with a log-spread of 0.6, by hand; knowing beforehand needs fewer."""
    device = Device(0.99, 10.0, 1.0)
    alpha = device.pace.block_s / (30 * 86400)
    need = ((stats.norm.isf(alpha / 2) + stats.norm.isf(0.1)) / (np.log(1.15) / 0.6)) ** 2
    per_block = 100 * (1 - np.exp(-1.8))
    blocks = 1 / (1 / need - 1 / (device.pace.full * per_block)) / per_block
    assert theory(device, CHANGES["box_size_15_percent"], knowing=True) == int(np.ceil(blocks))
    for change in CHANGES.values():
        assert theory(device, change, knowing=True) <= theory(device, change, knowing=False)


def test_nonsense_is_refused(capsys):
    """A correlation of one is no process."""
    with pytest.raises(SystemExit):
        main(["--rho", "1.0"])
    assert "rho should be in [0, 1)" in capsys.readouterr().err


def test_the_cost_of_a_block(capsys, tmp_path):
    """All six steps, each with its percentiles; nothing is left behind."""
    assert cost(["--folder", str(tmp_path)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert set(document) == {"verdict_ms", "message_ms"} | {
        f"{kept}_{step}_ms" for kept in ("history", "block") for step in ("bytes", "file")
    }
    assert all(0 < one["p50"] <= one["p95"] for one in document.values())
    assert not list(tmp_path.iterdir())
