"""The gate: verdicts in words, thresholds from a profile, an alarm that does not flap."""

import numpy as np
import pytest

from edge_agent.errors import SourceError
from edge_agent.gate import Gate, Hysteresis, threshold_from_profile
from edge_agent.monitors.histogram import Histograms
from edge_agent.monitors.profile import Profile
from tests.bundles import background, dirty, frame, make_bundle


def profile_of(values) -> Profile:
    histograms = Histograms(1)
    histograms.add("ssim", values)
    return Profile(histograms, "")


def test_clean_passes_dirty_does_not(tmp_path):
    """With the threshold of a real bundle's profile, on frames that made neither."""
    bundle = make_bundle(tmp_path)
    threshold = threshold_from_profile(Profile.read(bundle.path("profile.json")))
    gate = Gate(background(), ssim_min=threshold)
    for number in range(50):
        assert gate.check(frame(number)).passed
        verdict = gate.check(dirty(frame(number)))
        assert not verdict.passed
        assert f"is below {threshold:.2f}" in verdict.text and "clean the lens" in verdict.text


def test_without_a_reference_everything_passes_and_says_so():
    """No reference: no SSIM, statistics all the same."""
    verdict = Gate(None, ssim_min=0.5).check(frame(0))
    assert verdict.passed and verdict.ssim is None
    assert "no reference" in verdict.text
    assert 0 < verdict.statistics.luminance < 1


def test_without_a_threshold_it_measures():
    """No threshold: SSIM is measured and nothing is judged."""
    verdict = Gate(background(), reason="the profile has no SSIM").check(dirty(frame(0)))
    assert verdict.passed and verdict.ssim < 0.5
    assert "the profile has no SSIM" in verdict.text


def test_another_size_is_compared_all_the_same():
    """A camera that changes its resolution is fitted to the reference."""
    gate = Gate(np.full((480, 640, 3), 90, np.uint8), ssim_min=0.5)
    assert gate.check(np.full((1080, 1920, 3), 90, np.uint8)).ssim == pytest.approx(1, abs=1e-6)
    assert gate.check(np.full((1, 1, 3), 90, np.uint8)).ssim == pytest.approx(1, abs=1e-6)


def test_what_is_not_a_picture():
    """The gate refuses it as the letterbox does."""
    with pytest.raises(SourceError):
        Gate(background()).check(np.zeros((5, 5), np.uint8))


def test_statistics_of_known_pictures():
    """Black, white, a checkerboard and a flat grey."""
    gate = Gate(None)
    assert gate.check(np.zeros((50, 50, 3), np.uint8)).statistics.luminance == 0
    white = gate.check(np.full((50, 50, 3), 255, np.uint8)).statistics
    assert (white.luminance, white.contrast, white.sharpness) == (1.0, 0.0, -1.0)
    board = np.kron(np.indices((25, 25)).sum(0) % 2, np.ones((2, 2), int)) * 255
    picture = np.repeat(board[:, :, None], 3, 2).astype(np.uint8)
    sharp = gate.check(picture).statistics
    assert sharp.contrast == pytest.approx(0.5, abs=0.01)
    assert sharp.sharpness > 4 > gate.check(frame(0)).statistics.sharpness


def test_threshold_lies_below_the_good_pictures():
    """Tight where the good pictures agree, wide where they vary; none of them fails it."""
    rng = np.random.default_rng(0)
    tight = rng.normal(0.9, 0.01, 500)
    wide = rng.normal(0.7, 0.06, 500)
    for values, least in ((tight, 0.8), (wide, 0.35)):
        threshold = threshold_from_profile(profile_of(values))
        assert least < threshold < values.min()


def test_no_evidence_gives_no_threshold():
    """No profile, or hardly any values in it."""
    assert threshold_from_profile(None) is None
    assert threshold_from_profile(profile_of([])) is None
    assert threshold_from_profile(profile_of([0.9] * 19)) is None
    assert threshold_from_profile(profile_of([0.9] * 20)) is not None


def test_a_camera_that_sees_anything_is_not_judged_below_zero():
    """The threshold never becomes negative."""
    assert threshold_from_profile(profile_of(np.linspace(0, 1, 100))) == 0.0


def alarms(hysteresis: Hysteresis, frames: str) -> str:
    """``.`` for a frame that passed, ``x`` for a rejected one -> ``A`` while the alarm is on."""
    states = ""
    for mark in frames:
        hysteresis = hysteresis.update(mark == ".")
        states += "A" if hysteresis.raised else "-"
    return states


def test_hysteresis():
    """Three bad in a row raise, two good in a row clear, anything else changes nothing."""
    start = Hysteresis(raise_after=3, clear_after=2)
    assert alarms(start, "xx.xx.") == "------"
    assert alarms(start, "xxx.x.x..x") == "--AAAAAA--"
    assert alarms(Hysteresis(1, 1), "x.x") == "A-A"
