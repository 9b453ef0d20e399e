"""What an embedding becomes: standardised, turned, measured; and the file that says how."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.errors import BundleError
from edge_agent.monitors.embedding import LEAST_PICTURES, Projection
from edge_agent.monitors.histogram import EMBEDDING_FEATURES
from tests.schemas import faults

CHANNELS = 24


def embeddings(pictures: int = 400, seed: int = 0, shift: float = 0.0) -> np.ndarray:
    """(pictures, 24): three causes in 24 channels, and one of them that is still."""
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(9).normal(0, 1, (3, CHANNELS))
    values = rng.normal(shift, 1, (pictures, 3)) @ mix + rng.normal(0, 0.3, (pictures, CHANNELS))
    values *= np.logspace(-0.4, 0.4, CHANNELS)
    values[:, 5] = 7.0
    return values.astype(np.float32)


def features(projection: Projection, values: np.ndarray) -> np.ndarray:
    """(pictures, features)."""
    return np.asarray([list(projection.features(one).values()) for one in values])


def test_what_it_was_made_of_is_the_unit():
    """Along each direction mean 0 and deviation 1, and no two directions say the same."""
    values = embeddings()
    found = features(Projection.fit(values), values)
    assert np.abs(found[:, 1:].mean(0)).max() < 1e-3
    assert np.abs(found[:, 1:].std(0) - 1).max() < 1e-3
    assert np.abs(np.corrcoef(found[:, 1:].T) - np.eye(4)).max() < 1e-3
    # one channel of 24 never moves and has no distance
    assert (found[:, 0] ** 2).mean() == pytest.approx(23 / 24, abs=1e-3)


def test_directions_are_those_of_a_principal_component_analysis():
    """Against the eigenvectors of the correlation matrix, which numpy finds another way."""
    values = embeddings()
    projection = Projection.fit(values)
    moving = np.arange(CHANNELS) != 5
    eigenvalues, vectors = np.linalg.eigh(np.corrcoef(values[:, moving].T.astype(np.float64)))
    for index in range(3):
        largest = vectors[:, -1 - index] / np.sqrt(eigenvalues[-1 - index])
        found = projection.directions[index, moving]
        assert min(np.abs(found - largest).max(), np.abs(found + largest).max()) < 1e-4


def test_clean_ones_stay_and_others_move():
    """Pictures of the same kind look like the reference; a shift of the causes does not."""
    projection = Projection.fit(embeddings())
    clean, moved = (features(projection, embeddings(seed=1, shift=s)) for s in (0.0, 1.5))
    assert np.abs(clean.mean(0) - [clean[:, 0].mean(), 0, 0, 0, 0]).max() < 0.25
    assert moved[:, 0].mean() > 1.4 * clean[:, 0].mean()
    assert np.abs(moved[:, 1:4].mean(0)).max() > 1.0


def test_a_channel_that_was_still_does_not_outweigh_the_others():
    """It counts in a tenth of the usual deviation at least, not in units of nothing."""
    values = embeddings()
    projection = Projection.fit(values)
    values[:, 5] += 0.1
    distance = features(projection, values)[:, 0].mean()
    assert 0.9 < distance < 1.5


def test_the_same_pictures_give_the_same_bytes():
    """Signs and digits included; and what is written is what is computed with."""
    projection = Projection.fit(embeddings())
    data = projection.to_bytes()
    assert data == Projection.fit(embeddings()).to_bytes()
    again = Projection.parse(data, where="embedding.json", channels=CHANNELS)
    one = embeddings(1, seed=3)[0]
    assert again.features(one) == projection.features(one)
    assert again.to_bytes() == data
    assert faults("embedding", json.loads(data)) == []


def test_fewer_channels_than_directions():
    """What does not exist is 0 and never moves."""
    values = embeddings()[:, :2]
    found = features(Projection.fit(values), values)
    assert np.isfinite(found).all() and not found[:, 3:].any()


def test_what_is_not_finite_is_nan():
    """Histograms leave NaN out."""
    projection = Projection.fit(embeddings())
    broken = embeddings(1)[0]
    broken[3] = np.nan
    assert all(value != value for value in projection.features(broken).values())
    assert tuple(projection.features(broken)) == EMBEDDING_FEATURES


@pytest.mark.parametrize("values", [embeddings(LEAST_PICTURES - 1), np.full((30, 4), np.inf)])
def test_too_few_or_not_finite(values):
    """A programmer's error; the builder says it before."""
    with pytest.raises(ValueError, match="needs 20 embeddings or more"):
        Projection.fit(values)


@pytest.mark.parametrize(
    ("place", "value", "word"),
    [
        ("schema_version", 2, "schema_version"),
        ("pictures", 3, "pictures"),
        ("mean", [0.0] * (CHANNELS - 1), "mean"),
        ("mean", [1e31] * CHANNELS, "mean"),
        ("spread", [0.0] * CHANNELS, "spread"),
        ("spread", ["1"] * CHANNELS, "spread"),
        ("directions", [[0.0] * CHANNELS] * 3, "directions"),
        ("directions", [[0.0] * 3] * 4, "directions"),
        ("directions", [[1e31] * CHANNELS] * 4, "directions"),
    ],
)
def test_each_fault_is_named(place, value, word):
    """The file, the field, and what to do."""
    document = json.loads(Projection.fit(embeddings()).to_bytes()) | {place: value}
    with pytest.raises(BundleError, match=rf"e\.json: .*{word}"):
        Projection.parse(json.dumps(document).encode(), where="e.json", channels=CHANNELS)


@given(st.binary(max_size=200))
def test_rubbish_is_refused(data):
    """Whatever the bytes are, the answer is a BundleError."""
    with pytest.raises(BundleError):
        Projection.parse(data, where="e.json", channels=3)
