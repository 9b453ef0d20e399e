"""Trying a bundle on pictures."""

import json

import cv2
import numpy as np
import pytest

from edge_agent.commands import detect
from edge_agent.detection.detector import Detector
from edge_agent.errors import BundleError, ModelError, SourceError, StorageError, UsageError
from tests.bundles import frame, make_bundle, write_frames


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("bundle"), profile=False)


@pytest.fixture
def images(tmp_path):
    return sorted(write_frames(tmp_path / "in", 4).iterdir())


def said(bundle, images, **options) -> str:
    texts: list[str] = []
    detect.run(bundle.root, images, echo=texts.append, **options)
    (text,) = texts
    return text


def test_json(bundle, images):
    """File names to rows of x0, y0, x1, y1, score, class_id, as the detector has them."""
    document = json.loads(said(bundle, images, as_json=True))
    assert list(document) == [path.name for path in images]
    found = Detector.load(bundle).detect(frame(0)).detections
    expected = [row for row in found.tolist() if row[4] > 0.25]
    assert np.allclose(document["0000.png"], expected, atol=1e-3)
    assert all(isinstance(row[5], int) for rows in document.values() for row in rows)


def test_table(bundle, images):
    """A person sees class names, and pictures where nothing was found."""
    text = said(bundle, images)
    assert "red" in text and "0002.png" in text and "nothing" in text


@pytest.mark.parametrize(("confidence", "more"), [(0.01, True), (0.9, False)])
def test_confidence_below_and_above_the_manifest(bundle, images, confidence, more):
    """Lower than the floor shows more, higher shows only the certain ones."""
    count = sum(map(len, json.loads(said(bundle, images, as_json=True)).values()))
    rows = json.loads(said(bundle, images, as_json=True, confidence=confidence)).values()
    assert (sum(map(len, rows)) > count) == more
    assert all(row[4] > confidence for item in rows for row in item)


def test_save(bundle, images, tmp_path):
    """The pictures with boxes, under the same names; the originals stay."""
    before = images[0].read_bytes()
    said(bundle, images, save=tmp_path / "out/deep")
    drawn = cv2.imread(str(tmp_path / "out/deep/0000.png"))
    assert drawn.shape == frame(0).shape and not np.array_equal(drawn, frame(0))
    assert images[0].read_bytes() == before


def test_names_that_are_there_twice(bundle, images, tmp_path):
    """Pictures of one name from two folders both appear."""
    other = write_frames(tmp_path / "other", 1) / "0000.png"
    document = json.loads(said(bundle, [images[0], other], as_json=True))
    assert list(document) == [str(images[0]), str(other)]


def test_two_pictures_never_share_one_file(bundle, images, tmp_path):
    """Saving both under one name would lose one of them without a word."""
    other = write_frames(tmp_path / "other", 1) / "0000.png"
    with pytest.raises(UsageError, match="both be saved"):
        said(bundle, [images[0], other], save=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_done_is_said(bundle, images, tmp_path):
    """Each in one line, before anything is printed."""
    (tmp_path / "text.jpg").write_text("no picture")
    for path, word in (
        (tmp_path / "none.png", "no such file"),
        (tmp_path, "is a folder"),
        (tmp_path / "text.jpg", "cannot be read as a picture"),
    ):
        with pytest.raises(SourceError, match=word):
            said(bundle, [images[0], path])
    with pytest.raises(BundleError, match="edge-builder build"):
        detect.run(tmp_path, images)
    with pytest.raises(UsageError, match="between 0 and 1"):
        said(bundle, images, confidence=25)
    with pytest.raises(UsageError, match="would overwrite it"):
        said(bundle, images, save=images[0].parent)
    with pytest.raises(StorageError, match="name a folder"):
        said(bundle, images, save=images[0])


def test_a_broken_model_is_not_an_empty_scene(images, tmp_path):
    """NaN ends with a ModelError, not with "nothing"."""
    broken = make_bundle(tmp_path / "nan", nan=True, profile=False)
    with pytest.raises(ModelError, match="NaN or Inf"):
        said(broken, images)
