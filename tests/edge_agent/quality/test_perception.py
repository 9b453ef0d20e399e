"""The metrics with a model of the eye in them: their parts against other programs and by hand."""

import math

import numpy as np
import pytest

from edge_agent.quality.apparent import apparent
from edge_agent.quality.colour_index import dscsi, s_cielab
from edge_agent.quality.features import fsim
from edge_agent.quality.information import information_map, vif
from edge_agent.quality.noise import contrast_threshold, nqm
from edge_agent.quality.phase import phase_congruency
from edge_agent.quality.saliency import saliency, vsi
from tests.edge_agent.quality.pictures import blurred, hashed, scene, tinted


def test_phase_congruency_does_not_care_for_contrast():
    """A quarter of the contrast changes the picture, hardly its phase congruency."""
    picture = scene()[..., 1].astype(float)
    full, faint = phase_congruency(picture), phase_congruency(100 + picture / 4)
    assert np.abs(full - faint).max() < 0.01
    assert full.min() >= 0 and 0.5 < full.max() <= 1


def test_phase_congruency_marks_a_step():
    """High along the edge of a wall, nothing in the middle of it."""
    wall = np.zeros((128, 128))
    wall[:, 40:90] = 200
    found = phase_congruency(wall)[64]
    assert found[39:41].min() > 0.75 and found[89:91].min() > 0.75
    assert found[54:64].max() < 0.05


def test_vif_exceeds_one_for_more_contrast():
    """Stretching without noise adds information, as its authors say; squeezing takes it."""
    picture = scene()[..., 1].astype(float)
    assert vif(picture, 128 + 1.2 * (picture - 128)) > 1.05
    assert 0.5 < vif(picture, 128 + 0.8 * (picture - 128)) < 1


def test_information_is_where_the_texture_is():
    """The weights of IW-SSIM are larger on the noisy side of a band."""
    band = np.zeros((40, 60))
    band[:, 30:] = hashed((40, 30), 2) - 128.0
    bits = information_map(band, band * 0.9, None)
    assert bits[:, 35:].min() > 10 * bits[:, :25].max()


def test_mad_knows_what_texture_hides():
    """The same faint error is seen on a wall and not on strong texture."""
    error = (hashed((128, 128), 9) % 17 - 8).astype(float)
    wall = np.full((128, 128), 120.0)
    texture = wall + (hashed((128, 128), 10) - 128) / 2
    on_wall, on_texture = (apparent(p, p + error) for p in (wall, texture))
    assert on_texture.detection == 0.0 < on_wall.detection
    assert on_texture.mad == 0.0


def test_mad_sees_nothing_in_the_dark():
    """Below a luminance of 0.5 (a level of about 49) no error counts as detected."""
    error = (hashed((128, 128), 9) % 41 - 20).astype(float)
    dark, lit = (apparent(np.full((128, 128), p), p + error) for p in (40.0, 60.0))
    assert dark.detection == 0.0 < lit.detection


def test_nqm_of_one_wave():
    """A wave of 8 cycles at half its height: one band, whose every step can be written down."""
    x = np.cos(2 * np.pi * 8 * np.arange(128) / 128)
    reference, image = (np.tile(128 + height * x, (128, 1)) for height in (40, 20))
    contrast, other = 40 * x / 128, 20 * x / 128
    masking = contrast_threshold(3)
    hidden = np.abs(other - contrast) < 0.86 * contrast - 0.56 * masking
    seen = contrast_threshold(8 / math.degrees(1 / 3.5))
    first = np.where(np.abs(contrast) < seen, 0, 40 * x)
    second = np.where(np.abs(other) < seen, 0, np.where(hidden, 40 * x, 20 * x))
    expected = 10 * np.log10((first**2).sum() / ((first - second) ** 2).sum())
    assert nqm(reference, image) == pytest.approx(expected, abs=1e-4)


def test_the_eye_is_keenest_at_about_eight_cycles_per_degree():
    """Mannos and Sakrison: a contrast of half a percent there, much more on both sides."""
    least = min(range(1, 61), key=contrast_threshold)
    assert 7 <= least <= 9 and contrast_threshold(8) == pytest.approx(1 / 200 / 0.98, rel=0.01)
    assert contrast_threshold(1) > 2 * contrast_threshold(8)
    assert contrast_threshold(40) > 10 * contrast_threshold(8)


def test_saliency_finds_the_red_disc():
    """On a grey wall; of a wall alone nothing is salient."""
    wall = np.full((200, 320, 3), 128.0)
    assert not saliency(wall).any()
    y, x = np.indices(wall.shape[:2])
    disc = (y - 110) ** 2 + (x - 180) ** 2 < 25**2
    wall[disc] = (30, 30, 220)
    found = saliency(wall)
    assert found.shape == wall.shape[:2] and found.min() == 0 and found.max() == 1
    assert found[disc].mean() > 4 * found[~disc].mean()


def test_saliency_is_resized_as_pillow_does():
    """Noise at 500 x 640, which would alias: as Pillow's 256 x 256, brought back by Pillow."""
    images = pytest.importorskip("PIL.Image")
    bilinear = images.Resampling.BILINEAR
    large = hashed((500, 640, 3), 6).astype(np.uint8)
    large[200:300, 250:400, 2] = 255
    planes = [images.fromarray(large[..., c].astype(np.float32)) for c in range(3)]
    small = np.stack([np.asarray(p.resize((256, 256), bilinear)) for p in planes], axis=-1)
    found = images.fromarray(saliency(small.astype(float)).astype(np.float32))
    expected = np.asarray(found.resize((640, 500), bilinear))
    difference = np.abs(saliency(large.astype(float)) - expected)
    assert difference.mean() < 0.02


def test_s_cielab_of_flat_colours_is_cielab():
    """scikit-image's L*a*b* of six colours, but for filters that do not quite sum to 1."""
    rgb2lab = pytest.importorskip("skimage.color").rgb2lab
    for colour in ([0, 0, 0], [255] * 3, [128] * 3, [200, 40, 40], [30, 180, 60], [20, 40, 210]):
        picture = np.full((48, 50, 3), colour, np.uint8)
        expected = rgb2lab(picture[..., ::-1])
        assert np.abs(s_cielab(picture.astype(float)) - expected).max() < 2.0


def test_dscsi_minds_hue_more_than_sharpness():
    """A wrong white balance, which SSIM hardly sees, costs more than a blur of three pixels."""
    picture = scene()
    assert dscsi(picture, tinted(picture)) < dscsi(picture, blurred(picture, 1)) < 1
    assert vsi(picture, tinted(picture)) > vsi(picture, blurred(picture, 1))


def test_features_of_walls():
    """Where neither picture has any structure, what is compared is that there is none."""
    walls = [np.full((64, 64), level, np.uint8) for level in (10, 200)]
    assert fsim(walls[0], walls[0]) == 1.0
    assert fsim(*walls) < 1.0
