"""Thresholds of single classes: names are strict, other classes keep the manifest's confidence."""

from __future__ import annotations

import numpy as np
import pytest

from edge_agent.detection.decode import above
from edge_agent.detection.thresholds import limit_of
from edge_agent.errors import ConfigError
from tests.bundles import make_bundle


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """Classes red, green and blue; confidence 0.25, floor 0.05."""
    return make_bundle(tmp_path_factory.mktemp("bundle"), profile=False).manifest


def rows(*scored):
    """Detections with these (score, class)."""
    found = np.zeros((len(scored), 6), np.float32)
    found[:, 4:] = scored
    return found


def test_a_class_with_its_own_threshold(manifest):
    """Green is reported from 0.6 on, blue from 0.1, red as the manifest says."""
    limit = limit_of(manifest, {"green": 0.6, "blue": 0.1})
    found = rows((0.7, 1), (0.5, 1), (0.3, 0), (0.2, 0), (0.15, 2), (0.08, 2))
    assert (
        above(found, limit)[:, 4:].tolist() == rows((0.7, 1), (0.3, 0), (0.15, 2))[:, 4:].tolist()
    )
    assert above(found[:0], limit).shape == (0, 6)


def test_without_any_it_is_the_confidence(manifest):
    """One number, and the fast way."""
    assert limit_of(manifest, {}) == 0.25
    found = rows((0.7, 1), (0.2, 1))
    assert np.shares_memory(above(found, limit_of(manifest, {})), found)


def test_both_ways_agree(manifest):
    """The confidence written down for each class changes nothing, at the limit neither."""
    written = limit_of(manifest, dict.fromkeys(manifest.classes, 0.25))
    scores = np.sort(np.random.default_rng(0).choice([0.2, 0.25, 0.2500001, 0.3], 50))[::-1]
    found = rows(*((score, index % 3) for index, score in enumerate(scores)))
    assert np.array_equal(above(found, written), above(found, 0.25))


def test_every_fault_is_named(manifest):
    """A class that is none, with the nearest or all; a score below what is kept."""
    with pytest.raises(ConfigError) as caught:
        limit_of(manifest, {"gren": 0.5, "pink and purple": 0.5, "blue": 0.01})
    text = str(caught.value)
    assert '"gren" is not a class of tiny 1; did you mean "green"?' in text
    assert '"pink and purple" is not a class of tiny 1; it has red, green, blue' in text
    assert '"blue" = 0.01 is below its floor, 0.05' in text
