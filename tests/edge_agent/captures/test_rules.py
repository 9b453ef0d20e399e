"""Which frames are worth keeping: check, near the threshold, rare, at random."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest

from edge_agent.captures.baseline import Baseline
from edge_agent.captures.choose import Chooser, failed_check, limits, uncertain
from edge_agent.captures.rare import BLOCKS, RareClasses
from edge_agent.captures.reasons import REASONS
from edge_agent.config import parse
from tests.edge_agent.captures.simulator import CLASSES, rows, verdict

NEAR = 0.05


def settings(tmp_path, **capture):
    document = {
        "device": {"id": "cell-3"},
        "model": [{"name": "m"}],
        "capture": {"enabled": True, **capture},
    }
    return parse(document, tmp_path / "agent.toml").capture


@dataclass
class Camera:
    """A chooser with the arguments that stay the same."""

    chooser: Chooser
    release: str = "r1"
    now_s: float = 0.0
    told: list = field(default_factory=list)

    def reasons(self, detections, said=None):
        whys = self.chooser.choose(
            said,
            detections,
            limit=0.25,
            classes=CLASSES,
            release=self.release,
            now_s=self.now_s,
        )
        self.told += whys
        return [why.reason for why in whys]


def near_by(detections, limit):
    """What `uncertain` says with this limit."""
    beyond = detections[:, 4] - limits(detections, limit)
    return uncertain(detections, beyond, NEAR, CLASSES)


@pytest.mark.parametrize(
    ("scores", "count"),
    [
        ((), 0),
        ((0.9, 0.31, 0.19, 0.06), 0),
        ((0.9, 0.29), 1),
        ((0.21,), 1),
        ((0.29, 0.25, 0.22), 3),
    ],
)
def test_scores_near_the_threshold(scores, count):
    """Strictly nearer than `near`, on both sides of the confidence."""
    whys = near_by(rows(*scores), 0.25)
    assert [why.evidence["boxes"] for why in whys] == ([count] if count else [])


def test_the_nearest_score_is_the_evidence():
    """And its class, in words too."""
    found = rows(0.9, 0.29, 0.24, 0.22)
    found[2, 5] = 1
    (why,) = near_by(found, 0.25)
    assert why.evidence == {
        "class": "dent",
        "score": pytest.approx(0.24, abs=1e-6),
        "threshold": 0.25,
        "boxes": 3,
    }
    assert why.text == "dent 0.24, the threshold is 0.25"


def test_each_class_may_have_its_own_threshold():
    """Near is near to that one."""
    own = np.array([0.25, 0.6], np.float32)
    assert near_by(rows(0.62), own) == []
    (why,) = near_by(rows(0.62, class_id=1), own)
    assert why.text == "dent 0.62, the threshold is 0.60"


def test_a_failed_check_speaks_for_itself():
    """The gate's sentence; the names of the checks where it has several."""
    plain = failed_check(verdict(passed=False, text="lens blurred"))
    assert (plain.reason, plain.text, plain.evidence) == ("check", "lens blurred", {})
    checks = [
        SimpleNamespace(name="blur", failed=True, action="skip"),
        SimpleNamespace(name="ssim", failed=False, action="skip"),
        SimpleNamespace(name="noise", failed=True, action="flag"),
        SimpleNamespace(name="exposure", failed=True, action="pass"),
    ]
    several = failed_check(SimpleNamespace(passed=False, text="t", checks=checks))
    assert several.evidence == {"checks": "blur, noise"}


def test_a_frame_that_failed_the_check_says_nothing_of_the_model(tmp_path):
    """Its scores are near the threshold because the lens is dirty."""
    camera = Camera(Chooser(settings(tmp_path, baseline_per_hour=0), "s", 0.0))
    assert camera.reasons(rows(0.26), verdict(passed=False)) == ["check"]
    assert camera.reasons(rows(0.26), verdict()) == ["uncertain"]
    assert camera.reasons(rows(0.26), None) == ["uncertain"]
    assert camera.reasons(None, verdict(passed=False)) == ["check"]
    assert camera.reasons(rows(0.9), verdict()) == []


@pytest.mark.parametrize("reason", REASONS)
def test_reasons_can_be_left_out(tmp_path, reason):
    """Each rule is silent unless it was asked for."""
    chosen = settings(tmp_path, reasons=[reason], baseline_per_hour=3600, rare_history=20)
    camera = Camera(Chooser(chosen, "s", 0.0), now_s=1e6)
    for class_id in (0, 0, 1):
        found = np.concatenate([rows(0.9, class_id=class_id), rows(0.26)])
        camera.reasons(found, verdict())
        camera.reasons(found, verdict(passed=False))
        camera.now_s += 1e6
    # Those two are offered: by rules, and by the shadow run.
    expected = {reason} - {"alert", "disagreement"}
    assert {why.reason for why in camera.told} == expected


def test_the_rarest_class_is_named(tmp_path):
    """With its share of the history; frames of another release begin a new history."""
    chosen = settings(tmp_path, reasons=["rare"], rare_history=200, rare_share=0.05)
    camera = Camera(Chooser(chosen, "s", 0.0))
    for _ in range(99):
        assert camera.reasons(rows(0.9)) == []
    assert camera.reasons(rows(0.2, class_id=1)) == [], "a box below the confidence is none"
    assert camera.reasons(rows(0.9, class_id=1)) == ["rare"]
    assert camera.told[0].text == "dent is in 0.99 % of the last 101 frames"
    assert camera.told[0].evidence == {"class": "dent", "share": 1 / 101, "frames": 101}
    camera.release = "r2"
    assert camera.reasons(rows(0.9, class_id=1)) == []


class TestRareClasses:
    """Counts per class over a rolling history."""

    def test_nothing_is_rare_before_a_block_is_full(self):
        """One frame is no history."""
        history = RareClasses(2, history=100, share=0.5)
        assert [history.update([1]) for _ in range(5)] == [()] * 5
        assert history.update([0]) == (0,)

    def test_a_class_is_rare_until_it_has_its_share(self):
        """3 of 30 frames are 10 %."""
        history = RareClasses(2, history=200, share=0.1)
        for _ in range(27):
            history.update([0])
        assert [history.update([0, 1]) for _ in range(4)] == [(1,), (1,), (1,), ()]

    def test_the_history_forgets(self):
        """What was common long ago is rare again."""
        history = RareClasses(2, history=200, share=0.1)
        for _ in range(200):
            history.update([0])
        assert history.update([0]) == ()
        for _ in range(199):
            history.update([1])
        assert history.share(0) == pytest.approx(1 / 200)
        assert history.update([0]) == (0,)

    def test_memory_does_not_grow(self):
        """Counts add up to the blocks that are kept, however long it runs."""
        history = RareClasses(3, history=40, share=0.1)
        for number in range(1000):
            history.update([number % 3])
            assert history.frames <= 40 + 40 // BLOCKS
        assert sum(history.share(number) for number in range(3)) == pytest.approx(1.0)


class TestBaseline:
    """Random moments."""

    @staticmethod
    def moments(seed, per_hour=60.0, seconds=36_000):
        baseline = Baseline(per_hour, seed, 0.0)
        return [now for now in range(seconds) if baseline.due(float(now))]

    def test_the_same_seed_gives_the_same_moments(self):
        """Exactly these, on every machine; another seed gives others."""
        assert self.moments("7/top/b00c")[:5] == [27, 97, 189, 215, 257]
        assert self.moments("7/side/b00c")[:5] != self.moments("7/top/b00c")[:5]

    def test_the_rate_is_what_was_asked_for(self):
        """600 expected in ten hours; the standard deviation of a Poisson count is 24."""
        for seed in ("a", "b", "c"):
            assert abs(len(self.moments(seed)) - 600) < 4 * 24.5

    def test_moments_do_not_depend_on_the_minute(self):
        """No lock-step with machines: gaps are spread as an exponential's are."""
        gaps = np.diff(self.moments("a", seconds=360_000))
        assert np.std(gaps) / np.mean(gaps) == pytest.approx(1.0, abs=0.1)

    def test_a_camera_that_was_away_gives_one(self):
        """Not one for each moment that it missed."""
        baseline = Baseline(3600.0, "s", 0.0)
        assert [baseline.due(1e6), baseline.due(1e6 + 1e-9)] == [True, False]
