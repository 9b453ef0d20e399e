"""The golden set's format and its comparison."""

import json

import numpy as np
import pytest

from edge_agent.bundle import Tolerance
from edge_agent.detection.golden import Golden, GoldenFrame, compare, match
from edge_agent.errors import BundleError
from tests.bundles import make_bundle

TOLERANCE = Tolerance(iou=0.9, score=0.02)
BOX = (10.0, 10.0, 50.0, 50.0)


def rows(*detections: tuple[float, ...]) -> np.ndarray:
    return np.asarray(detections, np.float32).reshape(-1, 6)


def differ(expected, actual) -> list[str]:
    return compare(rows(*expected), rows(*actual), TOLERANCE, 0.25)


def test_bytes_there_and_back():
    """What is written is what is read, and writing it again gives the same bytes."""
    golden = Golden((GoldenFrame("golden/0000.png", rows((*BOX, 0.123456, 1))),))
    again = Golden.parse(golden.to_bytes(), classes=2)
    assert again.to_bytes() == golden.to_bytes()
    assert again.frames[0].detections[0].tolist() == pytest.approx([*BOX, 0.12346, 1])


def test_a_frame_without_detections():
    """An empty frame is part of a golden set too."""
    golden = Golden((GoldenFrame("golden/0000.png", rows()),))
    assert Golden.parse(golden.to_bytes(), classes=1).frames[0].detections.shape == (0, 6)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"schema_version": 2}, "schema_version"),
        ({"frames": []}, "at least 1"),
        ({"frames": "x"}, "list of tables"),
        ({"frames": [{"file": "../x.png", "detections": []}]}, "leaves the bundle"),
        ({"frames": [{"file": "a.png"}]}, "missing"),
        ({"frames": [{"file": "a.png", "detections": [[1, 2, 3]]}]}, "6 numbers"),
        ({"frames": [{"file": "a.png", "detections": [[1, 2, 3, 4, "x", 0]]}]}, "finite"),
        ({"frames": [{"file": "a.png", "detections": [[1, 2, 3, 4, 1.5, 0]]}]}, "0..1"),
        ({"frames": [{"file": "a.png", "detections": [[1, 2, 3, 4, 0.5, 7]]}]}, "class"),
        ({"frames": [{"file": "a.png", "detections": [[1, 2, 3, 4, 0.5, 0.5]]}]}, "class"),
    ],
)
def test_faults_are_named(change, word):
    """Each wrong field is refused with its place."""
    document = {"schema_version": 1, "frames": [{"file": "a.png", "detections": []}]} | change
    with pytest.raises(BundleError, match=word):
        Golden.parse(json.dumps(document).encode(), classes=3)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_rubbish_is_refused(data):
    """Whatever the bytes are, the answer is a BundleError."""
    with pytest.raises(BundleError):
        Golden.parse(data, classes=1)


def test_frames_must_be_in_the_manifest(tmp_path):
    """A golden frame that nobody hashed is not used."""
    bundle = make_bundle(tmp_path, profile=False)
    golden = Golden((GoldenFrame("golden/other.png", rows()),))
    bundle.path(bundle.manifest.golden.path).write_bytes(golden.to_bytes())
    with pytest.raises(BundleError, match=r"golden/other\.png not in the manifest"):
        Golden.read(bundle)


def test_equal_is_silent():
    """The same detections, in any order, are no difference."""
    pair = [(*BOX, 0.9, 0), (60, 60, 80, 80, 0.5, 1)]
    assert differ(pair, pair[::-1]) == []


def test_missing_moved_and_unexpected_are_said():
    """Every kind of difference has its sentence."""
    assert "nothing matches it" in differ([(*BOX, 0.9, 0)], [])[0]
    assert differ([], [(*BOX, 0.9, 0)])[0].startswith("unexpected class 0")
    moved = differ([(*BOX, 0.9, 0)], [(20, 20, 60, 60, 0.9, 0)])
    assert len(moved) == 2
    assert len(differ([(*BOX, 0.9, 0)], [(*BOX, 0.9, 1)])) == 2


def test_score_difference():
    """Inside the tolerance is fine, outside names both scores."""
    assert differ([(*BOX, 0.9, 0)], [(*BOX, 0.885, 0)]) == []
    (fault,) = differ([(*BOX, 0.9, 0)], [(*BOX, 0.8, 0)])
    assert "0.900" in fault and "0.800" in fault


def test_near_the_confidence_both_sides_are_right():
    """A detection that may fall on either side of the confidence is not asked for."""
    near = (*BOX, 0.26, 0)
    assert differ([near], []) == []
    assert differ([], [near]) == []
    assert differ([(*BOX, 0.275, 0)], [(*BOX, 0.262, 0)]) == []


def test_matching_is_one_to_one():
    """Two expected boxes cannot share one actual; the closer pair is made first."""
    expected = rows((*BOX, 0.9, 0), (11, 11, 51, 51, 0.8, 0))
    actual = rows((11, 11, 51, 51, 0.85, 0))
    assert match(expected, actual, 0.5) == [(1, 0)]


def test_nothing_to_match():
    """Empty sides and boxes without an area match nothing."""
    assert match(rows(), rows((*BOX, 0.9, 0)), 0.5) == []
    flat = rows((5, 5, 5, 5, 0.9, 0))
    assert match(flat, flat, 0.5) == []
