"""The outputs against the bundle's profile: a large effect, beyond what chance gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from edge_agent.config import Drift
from edge_agent.drift.skew import SkewMonitor, Z, judge, noise
from edge_agent.monitors.histogram import Histograms
from edge_agent.monitors.profile import Profile

CLASSES = 2
SETTINGS = Drift(1.0, None, 24.0, psi_max=0.25, profile_frames=400)


def outputs(scores, frames=400, seed=0):
    """Frames with one box each, scores from a beta distribution."""
    rng = np.random.default_rng(seed)
    histograms = Histograms(CLASSES)
    histograms.frames = frames
    histograms.add("score", rng.beta(*scores, frames))
    histograms.add("detections_per_frame", np.ones(frames))
    histograms.add("class", rng.integers(0, 2, frames))
    return histograms


def test_so_many_frames_are_judged_together_and_then_it_begins_anew():
    """Windows of 100 frames, verdicts of 400: one at every fourth window."""
    monitor = SkewMonitor(Profile(outputs((8, 2)), ""), SETTINGS)
    verdicts = [monitor.update(outputs((8, 2), 100, seed)) for seed in range(9)]
    assert [verdict is not None for verdict in verdicts] == [False, False, False, True] * 2 + [
        False
    ]
    assert monitor.frames == 100 and monitor.verdict.frames == 400
    assert monitor.verdict.differs == ()


def test_features_that_differ_are_named_largest_first():
    """Scores fall by half, classes stay: only the scores differ."""
    verdict = judge(outputs((8, 2)), outputs((4, 6), seed=1), 0.25)
    assert verdict.differs == ("score",)
    assert verdict.psi["score"] > 1 > verdict.psi["class"]


def test_what_chance_can_do_is_no_difference():
    """Six boxes say little about eleven bins."""
    few = judge(outputs((8, 2)), outputs((4, 6), frames=6, seed=1), 0.25)
    assert 0.25 < few.psi["score"] < few.limits["score"]
    assert few.differs == () and "box_area" not in few.psi


def test_without_a_profile_there_is_never_a_verdict():
    """A bundle built without reference data."""
    monitor = SkewMonitor(None, replace(SETTINGS, profile_frames=10))
    assert monitor.update(outputs((8, 2))) is None and monitor.verdict.psi == {}


@pytest.mark.parametrize("bins", [3, 10, 13])
def test_the_noise_bound_is_the_chi_square_quantile(bins):
    """Against scipy; Wilson-Hilferty is within 6 %, on the careful side, that far out."""
    exact = (1 / 500 + 1 / 300) * stats.chi2.isf(stats.norm.sf(Z), bins - 1)
    assert exact <= noise(500, 300, bins) <= 1.06 * exact


def test_when_nothing_changed_hardly_anything_is_reported():
    """2,000 verdicts of 40 frames of the profile's own distribution: at most one in a thousand."""
    reference, alarms = outputs((8, 2), 5000), 0
    for seed in range(2000):
        alarms += bool(judge(reference, outputs((8, 2), 40, seed + 1), 0.25).differs)
    assert alarms <= 2
