"""Verdicts on simulated windows: what fails a release, what does not, and how often chance does."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.health import Window
from registry_sync.device.evidence import Evidence, compare_rates, shift, summarize
from registry_sync.device.trial import Observation, Outcome, judge
from registry_sync.rollout import Gate

GATE = Gate(trial_s=8, deadline_s=60, min_frames=40, stale_s=5, wait_s=1000)
FAIL, PASS, OPEN = Outcome.FAIL, Outcome.PASS, Outcome.INCONCLUSIVE


def evidence(frames: int, per_frame: float = 1.0, **changes: object) -> Evidence:
    """Evidence of a healthy release over so many frames."""
    detections = round(frames * per_frame)
    spread = [round(frames * share) for share in (0.4, 0.35, 0.2, 0.05)]
    boxes = [round(detections * share) for share in (0.1, 0.3, 0.4, 0.2)]
    plain = Evidence(
        captured=frames, inferred=frames, detections=detections, latency_ms=(40.0,) * 8,
        rss_mb=(150.0,) * 8, counts={"detections_per_frame": spread, "box_area": boxes},
    )  # fmt: skip
    return replace(plain, **changes)


def verdict(candidate: Evidence, **seen: object) -> tuple[Outcome, str]:
    """The verdict ten seconds after the switch from a healthy incumbent, unless told otherwise."""
    usual = {"incumbent": evidence(400), "starts": 1, "elapsed_s": 10.0, "health_age_s": 1.0}
    found = judge(GATE, Observation(candidate=candidate, **(usual | seen)))
    return found.outcome, found.reason


def test_a_healthy_release_passes():
    """Enough time, enough frames, nothing wrong; also with nothing to compare with."""
    assert verdict(evidence(80))[0] is PASS
    assert verdict(evidence(80), incumbent=Evidence())[0] is PASS


@pytest.mark.parametrize(
    ("changes", "seen", "part"),
    [
        ({"nonfinite": 3}, {}, "NaN or Inf"),
        ({"errors": 6}, {}, "ended in an error"),
        ({"provider_ok": False}, {}, "provider"),
        ({"latency_ms": (200.0,) * 5}, {}, "5.0x slower"),
        ({"latency_ms": (40.0, 40.0, 90.0, 90.0, 90.0)}, {}, "slower"),
        ({"rss_mb": (900.0,) * 5}, {}, "900 MB"),
        ({"detections": 480}, {}, "detections per frame"),
        (
            {"counts": {"box_area": [0, 0, 0, 80]}, "inferred": 400, "detections": 400},
            {},
            "box_area",
        ),
        ({"inferred": 0, "detections": 0}, {}, "none came back"),
        ({}, {"starts": 3, "error": "cannot be loaded"}, "crash loop: 3 starts"),
        ({}, {"health_age_s": 6.0}, "silent"),
        ({}, {"health_age_s": None}, "silent"),
    ],
)
def test_what_fails_at_once(changes, seen, part):
    """Each fault that a release can be blamed for fails it, with its reason."""
    outcome, reason = verdict(evidence(80, **changes), **seen)
    assert outcome is FAIL
    assert part in reason


@pytest.mark.parametrize(
    "changes",
    [
        {"latency_ms": (42.0,) * 8},
        {"latency_ms": (40.0, 300.0, 40.0, 300.0, 40.0)},
        {"nonfinite": 2},
        {"errors": 2},
        {"detections": 40},
        {"detections": 160},
        {"rss_mb": (250.0,) * 5},
    ],
)
def test_what_does_not_fail(changes):
    """5 % slower, two slow windows, a different but sane number of boxes: no reason to go back."""
    assert verdict(evidence(80, **changes))[0] is PASS


def test_not_yet():
    """Without time, frames or a health file there is no verdict, and it says what is missing."""
    assert verdict(evidence(80), elapsed_s=5.0) == (OPEN, "5 of 8 s on trial")
    assert "10 of 40 frames" in verdict(evidence(10))[1]
    assert "more frames" in verdict(evidence(40, detections=200))[1]
    assert "has not loaded" in verdict(Evidence(), starts=0, health_age_s=None)[1]


def test_silence_counts_only_while_somebody_listens():
    """An updater that has just begun to look cannot say that the agent went silent."""
    for age in (None, 600.0):
        found = verdict(evidence(80), health_age_s=age, watched_s=1.0)
        assert found == (OPEN, "no fresh health file from the agent")


def test_an_agent_that_was_stopped_is_waited_for():
    """Maintenance in a trial is nobody's fault, also past the deadline; it ends unblamed."""
    for frames in (10, 80):
        found = verdict(evidence(frames), health_age_s=600.0, stopped=True)
        assert found == (OPEN, "the agent was stopped; the trial goes on when it runs again")
    late = Observation(evidence(80), starts=1, elapsed_s=1061.0, stopped=True)
    assert (judge(GATE, late).outcome, judge(GATE, late).blame) == (FAIL, False)


def test_the_deadline():
    """Too few frames at the deadline although the camera is fine: it goes back, and is to blame."""
    found = judge(GATE, Observation(evidence(10), starts=1, elapsed_s=61.0))
    assert (found.outcome, found.blame) == (FAIL, True)
    assert "inconclusive after 61 s" in found.reason


@pytest.mark.parametrize(
    ("candidate", "starts"),
    [
        (Evidence(captured=5000, unfit=4990, inferred=10), 1),
        (Evidence(captured=500, unfit=500), 2),
        (Evidence(), 1),
        (Evidence(), 0),
    ],
)
def test_a_dirty_lens_blames_nobody(candidate, starts):
    """Rejected frames, a lost camera, an absent agent: the trial waits, then ends unblamed."""
    for elapsed in (10.0, 61.0, 1059.0):
        seen = Observation(candidate, evidence(400), starts=starts, elapsed_s=elapsed)
        assert judge(GATE, seen).outcome is OPEN
    end = judge(GATE, Observation(candidate, evidence(400), starts=starts, elapsed_s=1061.0))
    assert (end.outcome, end.blame) == (FAIL, False)


@given(
    st.builds(
        Evidence,
        captured=st.integers(0, 10**6),
        unfit=st.integers(0, 10**6),
    ),
    st.floats(0, 1050),
)
def test_rejected_frames_are_never_evidence(candidate, elapsed):
    """However many frames the gate rejects: no verdict against the model from them."""
    candidate = replace(candidate, captured=max(candidate.captured, candidate.unfit))
    candidate = replace(candidate, unfit=candidate.captured)
    seen = Observation(candidate, evidence(400), starts=1, elapsed_s=elapsed)
    assert judge(GATE, seen).outcome is OPEN


def test_fallback_is_a_matter_of_the_configuration():
    """With `fallback = "allow"` another provider is reported, not punished."""
    assert verdict(evidence(80, provider_ok=False), provider_wanted=False)[0] is PASS


def test_few_frames_prove_nothing():
    """Eight frames with many boxes are one object, not a different model."""
    assert verdict(evidence(8, per_frame=9.0))[0] is OPEN
    assert compare_rates(evidence(8, 9.0), evidence(400), 10).z < 4


def frames(rng: random.Random, count: int, mean: float, stay: float) -> list[int]:
    """Detections per frame on a conveyor: a part stays in view for 1 / (1 - stay) frames."""
    boxes, seen = 0, []
    for _ in range(count):
        if rng.random() > stay:
            boxes = sum(rng.random() < mean / 4 for _ in range(4))
        seen.append(boxes)
    return seen


def counted(per_frame: list[int]) -> Evidence:
    """Evidence of frames with so many boxes each."""
    row = [0] * 10
    for count in per_frame:
        row[min(count, 9)] += 1
    return evidence(
        len(per_frame),
        detections=sum(per_frame),
        frames_each=tuple(len(per_frame[at : at + 10]) for at in range(0, len(per_frame), 10)),
        boxes_each=tuple(sum(per_frame[at : at + 10]) for at in range(0, len(per_frame), 10)),
        counts={"detections_per_frame": row, "class": [sum(per_frame[::2]), sum(per_frame[1::2])]},
    )


@pytest.mark.parametrize("length", [40, 100])
def test_the_same_model_is_not_rolled_back(length):
    """A/A on correlated frames: fewer than 1 in 300 trials of a model against itself fail."""
    rng = random.Random(length)
    wrong = 0
    for _ in range(900):
        before = counted(frames(rng, 600, 1.0, 0.9))
        mine = counted(frames(rng, length, 1.0, 0.9))
        wrong += verdict(mine, incumbent=before)[0] is FAIL
    assert wrong <= 3


@pytest.mark.parametrize(("mean", "least"), [(8.0, 48), (0.0, 25)])
def test_an_over_sensitive_or_blind_model_is_found(mean, least):
    """Many or no boxes where the release before has 0.8: never passed, and found in time."""
    rng = random.Random(7)
    found = 0
    for _ in range(50):
        before = counted(frames(rng, 600, 0.8, 0.9))
        mine = counted([round(mean)] * 300)
        assert verdict(mine, incumbent=before)[0] is not PASS
        found += verdict(mine, incumbent=before)[0] is FAIL
    assert found >= least


@given(st.lists(st.integers(0, 500), min_size=4, max_size=12), st.integers(1, 50))
def test_equal_histograms_do_not_differ(row, times):
    """PSI of a histogram against a multiple of itself is far below its own noise."""
    if sum(row) == 0:
        return
    scaled = [value * times for value in row]
    change = shift(row, scaled, sum(row), sum(scaled), 10)
    assert math.isfinite(change.psi)
    assert change.psi < change.noise


def test_windows_are_summed_per_release():
    """Only windows of the release count; frames that the gate flagged are left out."""
    row = {"detections_per_frame": [3, 2], "class": [2], "box_area": [2]}
    windows = [
        Window(1, 1.0, "a", captured=10, inferred=8, skipped=2, detections=9, counts=row,
               latency_p50_ms=5.0),
        Window(2, 2.0, "b", captured=99, inferred=99),
        Window(3, 3.0, "a", captured=4, inferred=4, detections=1, provider_ok=False),
    ]  # fmt: skip
    found = summarize(windows, "a")
    assert (found.captured, found.inferred, found.unfit, found.detections) == (14, 9, 5, 3)
    assert found.latency_ms == (5.0,)
    assert not found.provider_ok
    assert Evidence.from_document(found.to_document()) == found
