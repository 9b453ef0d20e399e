"""The gate's benchmark, small: the same road with few clips, and its own arithmetic."""

import json

import numpy as np
import pytest

from benchmarks import gate
from benchmarks.eyes import ssim_rank
from benchmarks.gate import CLEAN, FAULTS, HELD, auc, clip_seed, held, main


def test_auc_is_a_share_of_pairs():
    """Worked out by hand; ties count half."""
    assert auc([2, 3], [0, 1]) == 1.0
    assert auc([0, 3], [1]) == 0.5
    assert auc([1, 1], [1]) == 0.5
    assert auc([0], [1, 2]) == 0.0


def test_a_score_must_be_held():
    """One bad frame is not a bad clip; another check does not carry it on."""
    scores = np.zeros((10, 2))
    scores[4] = 9.0
    assert held(scores) == 0.0
    scores[:] = 0.0
    scores[4, 0] = scores[5, 1] = scores[6, 0] = 9.0
    assert held(scores) == 0.0
    scores[4 : 4 + HELD, 1] = (3.0, 2.0, 5.0)
    assert held(scores) == 2.0


def test_no_clip_is_seen_twice():
    """Neither in one run, nor in another, nor while learning."""
    seeds = {
        clip_seed(seed, kind, number)
        for seed in (0, 1, 2, 2**31 - 1)
        for kind in range(7)
        for number in (0, 1, 199, 65_535)
    }
    assert len(seeds) == 4 * 7 * 4 and max(seeds) < gate.LEARN_SEED
    with pytest.raises(ValueError, match="out of range"):
        clip_seed(2**31, 0, 0)


def test_a_clip_is_its_seed():
    """The same again; another one otherwise; a fault is not there before its time."""
    first, again, other = (list(gate.frames(seed, count=12)) for seed in (5, 5, 6))
    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])
    dirty = list(gate.frames(5, "dirt", count=12))
    assert np.array_equal(dirty[9], first[9]) and not np.array_equal(dirty[10], first[10])


@pytest.mark.slow
def test_the_gate_knows_every_fault(capsys):
    """Six clips of each and learnt from 16: every AUC 0.98 or more, next to nothing rejected."""
    assert main(["--seed", "77", "--clips", "6", "--learn", "16", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(report["auc"]) == set(FAULTS) and CLEAN not in report["auc"]
    assert min(report["auc"].values()) >= 0.98
    assert report["false_reject_rate"] <= 0.01
    assert min(report["named"].values()) >= 0.8


@pytest.mark.slow
def test_reduced_ssim_ranks_as_full_size_does():
    """Over the distortions of the demo's fault clip."""
    assert ssim_rank(every=8).value >= 0.98
