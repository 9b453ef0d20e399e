"""Occlusion: the squares model looks at its squares, and at nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from builder.accuracy.saliency import (
    GRID,
    MOST_FRAMES,
    choose,
    correlation,
    importance,
    looks_at,
    saliency,
)
from builder.progress import Silent
from builder.runner import Runner
from edge_agent.bundle import Bundle
from edge_agent.errors import BundleError
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
    assert choose(expected, 0.25, least=2) == ([2, 3], [])
    assert choose(expected, 0.25, least=9) == ([1, 2, 3, 4], [])
    assert choose(expected, 0.25, least=1, most=1) == ([2], [2])
    assert choose(expected[:1], 0.25) == ([], [])


def test_every_class_of_the_golden_frames_is_looked_at():
    """A class per frame needs every frame, up to what bounds the time; the rest is named."""
    expected = [np.array([[0, 0, 9, 9, 0.9, kind]], np.float32) for kind in range(MOST_FRAMES + 2)]
    assert choose(expected[:20], 0.25) == (list(range(20)), [])
    chosen, left = choose(expected, 0.25)
    assert len(chosen) == MOST_FRAMES and left == [MOST_FRAMES, MOST_FRAMES + 1]


class Counting(Runner):
    """Counts its inferences."""

    count = 0

    def raw(self, tensor):
        """One more."""
        self.count += 1
        return super().raw(tensor)


def test_what_it_costs(bundles):
    """One inference and one per square for each picture that shows something, none for others."""
    one = Counting(bundles[0].manifest, bundles[0].path("model/fp32.onnx"))
    pictures = [frame(7, squares=3), frame(8, squares=0)]
    rows = [seen(one, picture) for picture in pictures]
    one.count = 0
    saliency(one, pictures, rows)
    assert one.count == GRID * GRID + 1


def test_new_class_is_not_compared(bundles, tmp_path):
    """The version before has no class of that name: no figure, and no inference for it."""
    other = make_bundle(tmp_path / "b", changes={"classes": ["red", "green", "azure"]})
    one = runner(bundles[0])
    before = Counting(other.manifest, other.path("model/fp32.onnx"))
    picture = next(p for p in map(frame, range(60)) if {2} == {int(r[5]) for r in seen(one, p)})
    figures = saliency(one, [picture], [seen(one, picture)], previous=before)
    assert figures["blue"].stability is None and before.count == 0
    assert "stability" not in figures["blue"].document()


def test_damaged_version_before(bundles, tmp_path):
    """Its graph is not what its manifest says: named, not run."""
    other = make_bundle(tmp_path / "b")
    other.path("model/fp32.onnx").write_bytes(b"x")
    one = runner(bundles[0])
    with pytest.raises(BundleError, match=r"fp32\.onnx: has 1 bytes.*give another --previous"):
        looks_at(one, [one.shot(frame(7, squares=2))], other.root, Silent())


def test_correlation():
    """Of equal, opposite and flat maps."""
    one = np.arange(36.0).reshape(6, 6)
    assert correlation(one, 3 * one) == pytest.approx(1.0)
    assert correlation(one, -one) == pytest.approx(-1.0)
    assert correlation(one, np.zeros((6, 6))) == 0.0
    assert correlation(np.zeros((6, 6)), np.zeros((6, 6))) == 1.0
