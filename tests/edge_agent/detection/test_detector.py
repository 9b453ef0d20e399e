"""A whole bundle: pictures in, detections out."""

import cv2
import numpy as np
import pytest

from edge_agent.detection.detector import Detector
from edge_agent.errors import BundleError, SourceError
from tests.bundles import CLASSES, frame, make_bundle
from tests.edge_agent.backends.pretend import host_of
from tests.edge_agent.backends.pretend_cuda import PretendCuda


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("v1"), profile=False)


@pytest.fixture(scope="module")
def detector(bundle):
    loaded = Detector.load(bundle, threads=1)
    loaded.warm_up()
    yield loaded
    loaded.close()


def test_finds_the_squares(detector):
    """Three squares, in pixels of the picture, best first."""
    result = detector.detect(frame(0, squares=3))
    assert len(result.detections) == 3
    assert not result.nonfinite
    scores = result.detections[:, 4]
    assert np.all(scores[:-1] >= scores[1:])
    sides = result.detections[:, 2:4] - result.detections[:, :2]
    assert np.allclose(sides, 15)
    assert min(result.preprocess_ms, result.infer_ms, result.postprocess_ms) > 0
    assert result.total_ms == pytest.approx(
        result.preprocess_ms + result.infer_ms + result.postprocess_ms
    )


def test_says_what_it_runs_on(detector):
    """Manifest and providers are there to be reported."""
    assert detector.manifest.classes == CLASSES
    assert (detector.provider, detector.wanted_provider) == ("cpu", "cpu")


def test_both_heads_agree(detector, tmp_path):
    """The anchor form of the same network gives the same detections."""
    anchors = Detector.load(make_bundle(tmp_path, head="yolov5-anchor", profile=False))
    for number in range(8):
        picture = frame(number)
        assert np.allclose(
            anchors.detect(picture).detections, detector.detect(picture).detections, atol=1e-4
        )


@pytest.mark.parametrize("provider", ["tensorrt-native", "tensorrt-rtx", "tensorrt", "cuda"])
def test_every_provider_finds_the_same(detector, tmp_path, provider):
    """Through the whole way, on runtimes that are pretended; warm means that all was recorded."""
    bundle = make_bundle(tmp_path, profile=False)
    cuda = PretendCuda()
    host = host_of(provider, cuda)
    other = Detector.load(bundle, providers=(provider,), host=host)
    other.warm_up()
    assert (other.provider, other.fallback_reason) == (provider, "")
    recorded = cuda.calls.count("cuGraphInstantiateWithFlags")
    for number in range(6):
        here, there = (one.detect(frame(number)).detections for one in (detector, other))
        assert np.allclose(here, there, atol=1e-4)
    assert cuda.calls.count("cuGraphInstantiateWithFlags") == recorded
    assert recorded == (provider == "tensorrt-native")
    bundle.verify()  # an engine beside it changes nothing
    other.close()
    assert (cuda.faults, cuda.held) == ([], 0)


def test_nan_weights_are_seen(tmp_path):
    """A network of NaN is reported, not shown as an empty scene only."""
    broken = Detector.load(make_bundle(tmp_path, nan=True, profile=False))
    result = broken.detect(frame(0, squares=3))
    assert result.nonfinite
    assert len(result.detections) == 0


def test_swapped_classes(detector, tmp_path):
    """The helper's swapped head really swaps."""
    swapped = Detector.load(make_bundle(tmp_path, swapped=True, profile=False))
    for number in range(6):
        here = detector.detect(frame(number)).detections[:, 5]
        there = swapped.detect(frame(number)).detections[:, 5]
        assert there.tolist() == [{0: 1, 1: 0}.get(int(name), int(name)) for name in here]


def test_unknown_variant(bundle):
    """A variant that the bundle lacks is named together with those it has."""
    with pytest.raises(BundleError, match="no variant 'fp16'; it has fp32"):
        Detector.load(bundle, variant="fp16")


def test_a_strange_frame_leaves_the_detector_usable(detector):
    """Grey and empty frames raise; the next good one is judged as before."""
    for strange in (np.zeros((9, 9), np.uint8), np.zeros((0, 0, 3), np.uint8)):
        with pytest.raises(SourceError):
            detector.detect(strange)
    assert len(detector.detect(frame(0, squares=2)).detections) == 2


def test_any_picture_size(detector):
    """From one pixel to a wide strip: judged, and what is found lies inside of the picture."""
    scene = frame(0, squares=3)
    sizes = ((1, 1), (1, 500), (500, 1), (720, 1280), (640, 640))
    cut = scene[28:, 16:]  # through the first square: its box would begin left of the picture
    for picture in (*(cv2.resize(scene, (width, height)) for height, width in sizes), cut):
        result = detector.detect(picture)
        x0, y0, x1, y1 = result.detections[:, :4].T
        assert not result.nonfinite
        assert np.all((x0 >= 0) & (y0 >= 0) & (x0 < x1) & (y0 < y1))
        assert np.all((x1 <= picture.shape[1]) & (y1 <= picture.shape[0]))
    assert 0 in x0
