"""The reference profile's format."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.errors import BundleError
from edge_agent.monitors.histogram import Histograms
from edge_agent.monitors.profile import Profile
from tests.bundles import make_bundle


def document() -> dict:
    histograms = Histograms(2, frames=3)
    histograms.add("score", [0.3, 0.9])
    return json.loads(Profile(histograms, "three pictures").to_bytes())


def test_there_and_back():
    """What is written is what is read."""
    profile = Profile.parse(json.dumps(document()).encode(), classes=2)
    assert (profile.histograms.frames, profile.source) == (3, "three pictures")
    assert profile.histograms.counts["score"].sum() == 2
    assert json.loads(profile.to_bytes()) == document()


@pytest.mark.parametrize("bad", [-1, 0.5, 1e300, "1", None, 10**400])
def test_counts_must_be_counts(bad):
    """Negative, broken, endless and other things are named by feature."""
    text = document()
    text["counts"]["score"][0] = bad
    with pytest.raises(BundleError, match=r"counts\.score"):
        Profile.parse(json.dumps(text).encode())


def test_it_must_belong_to_the_model():
    """A profile over other classes would be compared bin by bin with the wrong ones."""
    with pytest.raises(BundleError, match="classes: are 2, the model has 3"):
        Profile.parse(json.dumps(document()).encode(), classes=3)


def test_of_a_bundle(tmp_path):
    """A bundle's own profile, or None where it has none."""
    profile = Profile.of(make_bundle(tmp_path / "a"))
    assert profile is not None and profile.histograms.frames == 40
    assert Profile.of(make_bundle(tmp_path / "b", profile=False)) is None


@given(st.binary(max_size=200))
def test_rubbish_is_refused(data):
    """Whatever the bytes are, the answer is a BundleError."""
    with pytest.raises(BundleError):
        Profile.parse(data)
