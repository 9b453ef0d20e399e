"""What int8 costs is measured on real graphs: quick, with few pictures."""

import numpy as np
import pytest

from benchmarks.int8 import PRECISIONS, Case, measure, own_labels, random_case, render
from builder.images import Folder
from builder.look import Look


def _case(bundle, frames, labels):
    return Case("squares", bundle, Folder(frames), Folder(frames), labels)


@pytest.fixture(scope="module")
def squares_bundle(tmp_path_factory):
    """A bundle of the hand-made checkpoint, and its pictures."""
    from builder.build import build
    from builder.options import BuildOptions
    from tests.builder.squares import write_squares
    from tests.bundles import write_frames

    folder = tmp_path_factory.mktemp("int8")
    frames = write_frames(folder / "frames", 12)
    options = BuildOptions(reference_data=frames, prove="never")
    source = str(write_squares(folder / "squares.pt"))
    return build(source, folder / "bundle", options).bundle, frames


def test_every_precision_has_its_figures(squares_bundle, tmp_path):
    """fp32 is the measure: ratio 1, and its own boxes are all found again."""
    figures = measure(_case(*squares_bundle, None), tmp_path, rounds=1)
    assert tuple(one.precision for one in figures) == PRECISIONS
    assert figures[0].speed == 1 and figures[0].map50_95 > 0.999 and figures[0].loss_points == 0
    assert all(one.ms > 0 and one.speed == figures[0].ms / one.ms for one in figures)
    assert figures[1].loss_points < 5 and all(one.map50_95 <= 1 for one in figures)
    assert "int8-cpu" in render(figures).splitlines()[-1]


def test_labels_cost_fp32_too(squares_bundle, tmp_path):
    """With labels that no box fits the mAP is 0, whatever the precision."""
    bundle, frames = squares_bundle
    for path in frames.iterdir():
        (tmp_path / f"{path.stem}.txt").write_text("0 0.001 0.001 0.0001 0.0001\n")
    figures = measure(_case(bundle, frames, tmp_path), tmp_path, rounds=1)
    assert all(one.map50_95 == 0 for one in figures)


def test_own_labels_are_the_best_of_all_pictures():
    """Ten a picture on average, as shares of the picture."""
    seen = Look(0.0)
    for name, first in (("a", 0.5), ("b", 0.1)):
        rows = [[10, 20, 30, 60, first + number / 100, 2] for number in range(15)]
        seen.found[name], seen.sizes[name] = np.array(rows[::-1], np.float32), (100, 200)
    labels = own_labels(seen)
    assert [len(labels.objects[name]) for name in "ab"] == [15, 5]
    assert np.allclose(labels.objects["a"][0], [2, 0.2, 0.2, 0.2, 0.2])


def test_without_ultralytics_there_is_no_second_model(tmp_path):
    """Its interpreter fails, and the case is left out."""
    (tmp_path / "images/val").mkdir(parents=True)
    assert random_case(tmp_path, tmp_path, "/bin/false") is None
