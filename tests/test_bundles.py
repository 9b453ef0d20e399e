"""The helper keeps what its docstring promises."""

import numpy as np

from edge_agent.detection.detector import Detector
from tests.bundles import frame, make_bundle, write_clip


def test_the_same_call_makes_the_same_bundle(tmp_path):
    """Digest by digest; another version is another digest with the same behaviour."""
    first = make_bundle(tmp_path / "a")
    again = make_bundle(tmp_path / "b")
    other = make_bundle(tmp_path / "c", version=2)
    first.verify()
    assert first.manifest.digest == again.manifest.digest != other.manifest.digest
    here, there = (Detector.load(bundle).detect(frame(1)).detections for bundle in (first, other))
    assert np.allclose(here, there, atol=0.01)


def test_slow_is_slower(tmp_path):
    """The knob costs time and changes no detection."""
    quick = Detector.load(make_bundle(tmp_path / "a", profile=False), threads=1)
    slow = Detector.load(make_bundle(tmp_path / "b", slow=40, profile=False), threads=1)
    results = [[each.detect(frame(0)) for _ in range(5)] for each in (quick, slow)]
    least = [min(result.infer_ms for result in row) for row in results]
    assert least[1] > 3 * least[0]
    assert np.array_equal(results[0][0].detections, results[1][0].detections)


def test_clips_of_both_kinds(tmp_path):
    """MJPEG and MP4 are written."""
    for name in ("a.avi", "a.mp4"):
        assert write_clip(tmp_path / name, 3).stat().st_size > 500
