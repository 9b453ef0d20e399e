"""What of drift comes from pictures: colour, embedding, and the skew of each camera."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge_agent.config import Drift
from edge_agent.drift.history import History
from edge_agent.drift.layout import FEATURES, Layout, edges_of, only_outputs
from edge_agent.drift.memory import Memory
from edge_agent.drift.merge import merge
from edge_agent.drift.skew import SkewMonitor
from edge_agent.drift.verdict import LEAST_IMPORTANCE, weights_of
from edge_agent.drift.watch import DriftWatch
from edge_agent.errors import StorageError
from edge_agent.monitors.histogram import EMBEDDING_FEATURES, INPUT_FEATURES, Histograms
from edge_agent.monitors.observe import observe_input, picture_values
from edge_agent.monitors.profile import Profile
from tests.edge_agent.drift.watched import RELEASE, TWO, Clock, camera_of, glance, run, watch_of

EMBEDDED = Layout(2, embedding=True)
USUAL = dict.fromkeys(EMBEDDING_FEATURES, 0.1)


def test_an_embedding_adds_its_features():
    """After the others, so that nothing moves; each value has one place."""
    assert EMBEDDED.names == (*FEATURES, *EMBEDDING_FEATURES)
    assert Layout(2).names == FEATURES
    places = EMBEDDED.indices(USUAL)
    starts = [feature.place.start for feature in EMBEDDED.features[-5:]]
    assert places[0] == starts[0] and len(set(places)) == 5
    assert EMBEDDED.indices(dict.fromkeys(EMBEDDING_FEATURES, float("nan"))) == []
    for name in EMBEDDING_FEATURES:
        assert list(edges_of(name)) == sorted(set(edges_of(name)))


def test_a_history_of_other_features_is_learnt_anew(tmp_path):
    """With an embedding and without are two things; each is read back as itself."""
    memory = Memory(tmp_path, RELEASE, EMBEDDED)
    memory.write(memory.encode(History.begin(EMBEDDED), None))
    assert memory.read()[0].layout is EMBEDDED
    with pytest.raises(StorageError, match="not those of this version"):
        Memory(tmp_path, RELEASE, TWO).read()
    with pytest.raises(ValueError, match="one without do not merge"):
        merge(History.begin(EMBEDDED), History.begin(TWO))


def test_an_embedding_has_the_least_share_of_the_budget():
    """Like every statistic of the picture; none where the release's variant gives none."""
    every = np.ones(len(EMBEDDED.names), bool)
    shares = dict(zip(EMBEDDED.names, weights_of(EMBEDDED, every), strict=True))
    least = shares["score"] * LEAST_IMPORTANCE / 1.6
    for name in (*EMBEDDING_FEATURES, *INPUT_FEATURES):
        assert shares[name] == pytest.approx(least)
    assert sum(shares.values()) == pytest.approx(len(shares))
    without = every & ~np.isin(EMBEDDED.names, EMBEDDING_FEATURES)
    assert weights_of(EMBEDDED, without)[without] == pytest.approx(
        weights_of(TWO, np.ones(len(TWO.names), bool))
    )
    assert not weights_of(EMBEDDED, without)[~without].any()


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        ((), False),
        (("score",), True),
        (("class", "box_x"), True),
        (("score", "chroma"), False),
        (("luminance",), False),
        (("score", "embedding_distance"), False),
    ],
)
def test_another_concept_is_suspected_by_the_outputs_alone(raised, expected):
    """A picture that changed explains outputs that did."""
    assert only_outputs(raised) is expected


def test_a_camera_whose_scores_fall_in_the_same_pictures(tmp_path):
    """Suspected after the change; not when the pictures became darker too."""
    for darker, expected in ((0.0, True), (0.3, False)):
        rng, watch = np.random.default_rng(7), watch_of(tmp_path / f"{darker}")
        run(watch, 2400, rng)
        assert watch.concept is False
        for seq in range(600):
            one = glance(seq, rng, shift=0.2)
            seen = replace(one.statistics, luminance=one.statistics.luminance - darker)
            watch._clock.now += 1.0
            watch.look("top", replace(one, statistics=seen))
            watch.settle()
        assert watch.raised and watch.concept is expected


def test_each_camera_is_compared_with_the_profile_by_itself(tmp_path):
    """The one with another light differs, the other does not; together they raise no alarm."""
    rng, profile = np.random.default_rng(8), Histograms(2, frames=400)
    for seq in range(400):
        observe_input(profile, picture_values(glance(seq, rng).statistics, None))
    settings = Drift(1.0, None, 24.0, psi_max=0.25, profile_frames=300)
    reference = Profile(profile, "")
    watch = DriftWatch(
        {name: camera_of(tmp_path / name, name=name) for name in ("top", "side")},
        SkewMonitor(reference, settings),
        knob=1.0,
        classes=2,
        confidence=0.25,
        own={name: SkewMonitor(reference, settings, INPUT_FEATURES) for name in ("top", "side")},
        clock=Clock(),
    )
    assert watch.skews()["top"].psi == {}
    for seq in range(300):
        watch._clock.now += 1.0
        one = glance(seq, rng)
        watch.look("side", one)
        cold = replace(one.statistics, warmth=one.statistics.warmth - 0.1)
        watch.look("top", replace(one, statistics=cold))
    watch.settle()
    skews = watch.skews()
    assert skews["top"].differs == ("warmth",) and skews["side"].differs == ()
    assert set(skews["side"].psi) == {"luminance", "contrast", "warmth", "chroma", "sharpness"}
    assert watch.drifted == ()
