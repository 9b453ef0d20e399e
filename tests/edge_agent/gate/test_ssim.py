"""SSIM against scikit-image."""

import cv2
import numpy as np
import pytest

from edge_agent.errors import SourceError
from edge_agent.gate.ssim import Reference

structural_similarity = pytest.importorskip("skimage.metrics").structural_similarity


def scene(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    """A picture with flat parts, edges and texture."""
    rng = np.random.default_rng(seed)
    picture = cv2.GaussianBlur(rng.normal(120, 60, shape).astype(np.float32), (0, 0), 3)
    picture[shape[0] // 3 :, : shape[1] // 2] += 60
    picture[: shape[0] // 4] = 255
    return np.clip(picture + rng.normal(0, 4, shape), 0, 255).astype(np.uint8)


def variants(picture: np.ndarray) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(9)
    noisy = np.clip(picture + rng.normal(0, 25, picture.shape), 0, 255).astype(np.uint8)
    return {
        "same": picture,
        "noise": noisy,
        "blur": cv2.GaussianBlur(picture, (0, 0), 2.5),
        "darker": (picture * 0.5).astype(np.uint8),
        "inverted": 255 - picture,
        "black": np.zeros_like(picture),
        "white": np.full_like(picture, 255),
        "shifted": np.roll(picture, 5, 1),
    }


@pytest.mark.parametrize("shape", [(640, 640), (48, 64), (7, 7), (9, 200)])
@pytest.mark.parametrize("kind", sorted(variants(np.zeros((9, 9), np.uint8))))
def test_equals_scikit_image(shape, kind):
    """The mean agrees to 1e-6 for every kind of change, at every size."""
    picture = scene(shape)
    other = variants(picture)[kind]
    expected = structural_similarity(picture, other, data_range=255)
    assert Reference(picture).ssim(other) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("level", [0, 1, 128, 254, 255])
def test_flat_pictures(level):
    """Pictures without any structure do not lose their digits."""
    flat = np.full((64, 64), level, np.uint8)
    for other in (flat, np.full((64, 64), 255 - level, np.uint8), scene((64, 64))):
        expected = structural_similarity(flat, other, data_range=255)
        assert Reference(flat).ssim(other) == pytest.approx(expected, abs=1e-6)


def test_map_equals_scikit_image():
    """Pixel by pixel too, for every window that lies in the picture."""
    picture = scene((120, 160))
    other = variants(picture)["noise"]
    _, expected = structural_similarity(picture, other, data_range=255, full=True)
    ours = Reference(picture).map(other)
    assert np.abs(ours - expected[3:-3, 3:-3]).max() < 1e-4


def test_a_reference_is_used_again():
    """Buffers of one call do not leak into the next."""
    picture = scene((60, 60))
    reference = Reference(picture)
    first = [reference.ssim(other) for other in variants(picture).values()]
    assert [reference.ssim(other) for other in variants(picture).values()] == first


def test_size_must_fit():
    """Another size and a reference smaller than the window are refused."""
    with pytest.raises(SourceError, match="at least 7 x 7"):
        Reference(np.zeros((6, 50), np.uint8))
    with pytest.raises(SourceError, match="SSIM needs"):
        Reference(np.zeros((20, 20), np.uint8)).ssim(np.zeros((20, 21), np.uint8))
