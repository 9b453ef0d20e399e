"""Occlusion: the squares model looks at its squares, and at nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from builder.accuracy.saliency import GRID, choose, correlation, importance, saliency
from builder.runner import Runner
from edge_agent.bundle import Bundle
from tests.bundles import frame, make_bundle


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """The model, and one that takes red for green."""
    root = tmp_path_factory.mktemp("saliency")
    return make_bundle(root / "a"), make_bundle(root / "b", swapped=True)


def runner(bundle: Bundle) -> Runner:
    """Its fp32 graph."""
    return Runner(bundle.manifest, bundle.path("model/fp32.onnx"))


def seen(one: Runner, picture):
    """Detections that are reported."""
    tensor, placement = one.tensor(picture)
    found, _ = one.detections(one.raw(tensor), placement)
    return found[found[:, 4] > 0.25]


def test_what_matters_lies_on_the_object(bundles):
    """Grey over a square takes its score, grey elsewhere takes none."""
    one = runner(bundles[0])
    picture = frame(7, squares=2)
    rows = seen(one, picture)
    assert len(rows) == 2
    for values in importance(one, picture, rows):
        assert values.shape == (GRID, GRID)
        assert 1 <= np.count_nonzero(values > 0.05) <= 6
    figures = saliency(one, [picture], [rows])
    assert all(figure.on_object > 0.9 for figure in figures.values())
    assert all(figure.stability is None for figure in figures.values())


def test_the_same_model_is_stable_another_is_not(bundles):
    """Correlation 1 with itself, 0 where the version before sees nothing of that class."""
    one, other = (runner(bundle) for bundle in bundles)
    picture = frame(7, squares=3)
    rows = seen(one, picture)
    same = saliency(one, [picture], [rows], previous=one)
    assert all(figure.stability == pytest.approx(1.0) for figure in same.values())
    changed = saliency(one, [picture], [rows], previous=other)
    for name in changed:
        wanted = 1.0 if name == "blue" else 0.0
        assert changed[name].stability == pytest.approx(wanted, abs=0.1)
    assert set(changed) & {"red", "green"}


def test_frames_that_show_most_classes_are_chosen():
    """Frames without a detection never are."""
    kinds = [[], [0], [0, 1], [2], [0]]
    expected = [
        np.array([[0, 0, 9, 9, 0.9, kind] for kind in row], np.float32).reshape(-1, 6)
        for row in kinds
    ]
    assert choose(expected, 0.25, most=2) == [2, 3]
    assert choose(expected, 0.25, most=9) == [1, 2, 3, 4]
    assert choose(expected[:1], 0.25) == []


def test_correlation():
    """Of equal, opposite and flat maps."""
    one = np.arange(36.0).reshape(6, 6)
    assert correlation(one, 3 * one) == pytest.approx(1.0)
    assert correlation(one, -one) == pytest.approx(-1.0)
    assert correlation(one, np.zeros((6, 6))) == 0.0
    assert correlation(np.zeros((6, 6)), np.zeros((6, 6))) == 1.0
