"""Limits are learnt from good values, and scores count from usual to limit."""

import numpy as np
import pytest

from edge_agent.config.gate import CHECKS
from edge_agent.gate.measures import KINDS, Range, Scorer, learn_range


def test_every_measure_belongs_to_a_check():
    """And each of them can fail on some side."""
    for kind in KINDS.values():
        assert kind.check in CHECKS and (kind.low is not None or kind.high is not None)


def test_scores_on_both_sides():
    """0 is usual, 1 is a limit, beyond it goes on; a side without a limit never counts."""
    score = Scorer("ssim", Range(0.9, low=0.8)).score
    assert [score(v) for v in (0.9, 0.85, 0.8, 0.7)] == pytest.approx([0, 0.5, 1, 2])
    assert score(1.0) == 0
    level = Scorer("level", Range(100, low=80, high=125)).score
    assert [level(v) for v in (80, 125, 64, 156.25)] == pytest.approx([1, 1, 2, 2])


def test_ratios_are_scored_as_ratios():
    """An eighth of the usual change is three times as far as a half."""
    score = Scorer("change", Range(2.0, low=1.0)).score
    assert [score(v) for v in (1.0, 0.5, 0.25)] == pytest.approx([1, 2, 3])
    assert score(0.0) > 15  # no noise at all is far out, and finite
    assert np.isfinite(score(0.0))


def test_limits_lie_three_spreads_out():
    """Of normal values the limit is about five deviations from the median."""
    rng = np.random.default_rng(0)
    values = rng.normal(0.8, 0.02, 20_000)
    limits = learn_range("ssim", values)
    assert limits.usual == pytest.approx(0.8, abs=0.001) and limits.high is None
    assert (limits.usual - limits.low) / 0.02 == pytest.approx(3 * 1.645, rel=0.05)


def test_steady_values_get_the_least_margin():
    """A camera that never changes is not rejected for nothing."""
    assert learn_range("ssim", [0.95] * 50).low == pytest.approx(0.92)
    assert learn_range("level", [100.0] * 50).high == pytest.approx(100 * 2**0.2, rel=1e-4)
    assert learn_range("moved", [0.0] * 50).high == pytest.approx(0.005)


def test_a_few_bad_frames_hardly_move_a_limit():
    """Three in a hundred frames with a hand before the lens: they would be rejected."""
    rng = np.random.default_rng(0)
    good = rng.normal(0.9, 0.005, 970)
    clean, spoilt = learn_range("ssim", good), learn_range("ssim", [*good, *[0.3] * 30])
    assert spoilt.low == pytest.approx(clean.low, abs=0.01)
    assert Scorer("ssim", spoilt).score(0.3) > 5


def test_rare_things_count_by_the_furthest():
    """A line that once stood still for 40 frames behind a codec may do so again."""
    assert learn_range("repeats", [0.0] * 999 + [40.0]).high == pytest.approx(80)


def test_a_camera_whose_frames_repeat_is_not_judged_by_its_noise():
    """Where a codec leaves no noise, its absence says nothing."""
    assert learn_range("change", [0.01] * 50).low is None
    assert learn_range("change", [1.0] * 50).low == pytest.approx(1 / 8)
