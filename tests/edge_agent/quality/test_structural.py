"""SSIM and its relatives against scikit-image, brute force and numbers by hand."""

import cv2
import numpy as np
import pytest

from edge_agent.gate import Reference
from edge_agent.quality.gradients import g_ssim, gms_map, gmsd
from edge_agent.quality.structural import (
    SCALE_WEIGHTS,
    ms_ssim,
    regions,
    ssim,
    ssim_map,
    ssim_uniform,
    three_ssim,
    uqi,
)  # fmt: skip
from tests.edge_agent.quality.pictures import ODD, SQUARE, WIDE, distorted, scene

structural_similarity = pytest.importorskip("skimage.metrics").structural_similarity
ndimage = pytest.importorskip("scipy.ndimage")
SIZES = pytest.mark.parametrize("shape", [SQUARE, WIDE, ODD], ids=str)


def greys(shape):
    reference = cv2.cvtColor(scene(shape), cv2.COLOR_BGR2GRAY)
    return reference, [cv2.cvtColor(p, cv2.COLOR_BGR2GRAY) for p in distorted(shape).values()]


def by_skimage(first, second, **options):
    """scikit-image's map with the paper's window, without the border that it pads."""
    _, values = structural_similarity(
        first, second, data_range=255, full=True, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False, **options,
    )  # fmt: skip
    return values[5:-5, 5:-5]


def contrast_structure_by_skimage(first, second):
    """With a huge K1 the luminance term is 1."""
    return by_skimage(first, second, K1=1e9)


@SIZES
def test_ssim_equals_scikit_image(shape):
    """Pixel by pixel and in the mean."""
    reference, images = greys(shape)
    for image in images:
        expected = by_skimage(reference.astype(float), image.astype(float))
        got = ssim_map(reference.astype(float), image.astype(float))
        assert np.abs(got - expected).max() < 1e-9
        assert ssim(reference, image) == pytest.approx(expected.mean(), abs=1e-12)


def test_uniform_window_is_the_gates():
    """The same number as the gate's reference gives at full size."""
    reference, images = greys(WIDE)
    for image in images:
        assert ssim_uniform(reference, image) == Reference(reference).ssim(image)


@pytest.mark.parametrize("shape", [SQUARE, WIDE], ids=str)
def test_ms_ssim_is_the_product_over_scales(shape):
    """Scale by scale with scikit-image; halves are means of 2 x 2."""
    reference, images = greys(shape)
    for image in images:
        x, y, expected = reference.astype(float), image.astype(float), 1.0
        for scale, weight in enumerate(SCALE_WEIGHTS):
            if scale:
                x, y = (p.reshape(p.shape[0] // 2, 2, -1, 2).mean((1, 3)) for p in (x, y))
            last = scale == len(SCALE_WEIGHTS) - 1
            values = by_skimage(x, y) if last else contrast_structure_by_skimage(x, y)
            expected *= values.mean() ** weight
        assert ms_ssim(reference, image) == pytest.approx(expected, rel=1e-9)


def test_opposite_structure_counts_as_nothing():
    """A negative picture has negative covariance everywhere: MS-SSIM 0, not a complex number."""
    texture = cv2.cvtColor(scene((176, 176)), cv2.COLOR_BGR2GRAY)
    assert ms_ssim(texture, 255 - texture) == 0.0


@SIZES
def test_three_ssim_is_ssim_per_region(shape):
    """Regions by scipy's Sobel, means of scikit-image's map, weights 2 : 1 : 1."""
    reference, images = greys(shape)
    for image in images:
        first, second = (
            np.hypot(*(ndimage.sobel(p.astype(float), axis, mode="mirror") for axis in (0, 1)))
            for p in (reference, image)
        )
        edge = (first > 0.12 * first.max()) | (second > 0.12 * first.max())
        smooth = ~edge & (first < 0.06 * first.max())
        values = by_skimage(reference.astype(float), image.astype(float))
        e, s = (mask[5:-5, 5:-5] for mask in (edge, smooth))
        expected = 0.5 * values[e].mean() + 0.25 * values[~e & ~s].mean() + 0.25 * values[s].mean()
        assert three_ssim(reference, image) == pytest.approx(expected, rel=1e-9)


def test_three_ssim_shares_out_a_missing_region():
    """A picture of two flat halves has no texture; the step and the rest share the weight 2 : 1."""
    reference = np.full((60, 60), 50, np.uint8)
    reference[:, 30:] = 200
    image = reference // 2
    edges, smooth = regions(reference.astype(float), image.astype(float))
    assert edges.any() and smooth.any() and (edges | smooth).all()
    values = ssim_map(reference.astype(float), image.astype(float))
    parts = [values[mask[5:-5, 5:-5]].mean() for mask in (edges, smooth)]
    expected = (0.5 * parts[0] + 0.25 * parts[1]) / 0.75
    assert three_ssim(reference, image) == pytest.approx(expected, rel=1e-12)


@SIZES
def test_g_ssim_is_luminance_of_pictures_and_structure_of_gradients(shape):
    """Gradients by scipy, both terms by scikit-image."""
    reference, images = greys(shape)
    for image in images:
        x, y = reference.astype(float), image.astype(float)
        slopes = [
            np.hypot(ndimage.sobel(p, 0), ndimage.sobel(p, 1))[1:-1, 1:-1] / 4 for p in (x, y)
        ]
        inner = x[1:-1, 1:-1], y[1:-1, 1:-1]
        luminance = by_skimage(*inner) / contrast_structure_by_skimage(*inner)
        expected = (luminance * contrast_structure_by_skimage(*slopes)).mean()
        assert g_ssim(reference, image) == pytest.approx(expected, rel=1e-9)


def test_uqi_by_brute_force():
    """Window by window from the definition."""
    reference, images = greys(SQUARE)
    x, y = (p[30:80, 150:203].astype(float) for p in (reference, images[0]))
    values = []
    for top in range(x.shape[0] - 7):
        for left in range(x.shape[1] - 7):
            a, b = (p[top : top + 8, left : left + 8].ravel() for p in (x, y))
            covariance = np.cov(a, b, ddof=0)
            spread = covariance[0, 0] + covariance[1, 1]
            level = a.mean() ** 2 + b.mean() ** 2
            values.append(4 * covariance[0, 1] * a.mean() * b.mean() / (spread * level))
    assert uqi(x, y) == pytest.approx(np.mean(values), rel=1e-9)


def test_flat_by_hand():
    """Two walls of 50 and 100: only the luminance term is left, with and without its constant."""
    first, second = np.full((20, 20), 50, np.uint8), np.full((20, 20), 100, np.uint8)
    c1 = (0.01 * 255) ** 2
    assert uqi(first, second) == pytest.approx(2 * 50 * 100 / (50**2 + 100**2))
    assert ssim(first, second) == pytest.approx((10000 + c1) / (12500 + c1))
    assert g_ssim(first, second) == pytest.approx((10000 + c1) / (12500 + c1))


def test_gms_by_hand():
    """A step from 0 to 90 and one to 180 on even columns: halved, Prewitt 90 and 180 beside it."""
    first = np.zeros((40, 40), np.uint8)
    first[:, 20:] = 90
    second = first * 2
    values = (2 * 90 * 180 + 170) / (90**2 + 180**2 + 170)
    # Of the 18 x 18 halved pixels off the border, the two columns at the step have that value.
    inner = gms_map(first, second)[1:-1, 1:-1]
    expected = np.ones((18, 18))
    expected[:, 8:10] = values
    assert np.allclose(inner, expected)
    assert gmsd(first, first) == 0.0
