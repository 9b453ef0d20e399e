"""MC-SSIM: what motion explains, what stands still, what is frozen."""

import cv2
import numpy as np
import pytest

from edge_agent.quality.motion import BLOCK, REACH, continuity, mc_ssim, predict
from edge_agent.quality.structural import ssim
from tests.edge_agent.quality.pictures import hashed, noisy, scene

structural_similarity = pytest.importorskip("skimage.metrics").structural_similarity


def texture(shape=(144, 192)):
    """Smooth noise: every block is like no other."""
    return cv2.GaussianBlur(hashed(shape, 3).astype(np.float64), (0, 0), 3) * 4 - 380


@pytest.mark.parametrize("shift", [(2, 0), (0, -4), (-6, 8), (14, 14)])
def test_a_moved_camera_is_forgiven(shift):
    """Whole pixels of the half size: the prediction is exact but for what came in at the edge."""
    big = texture((200, 240))
    before = big[30:174, 30:222]
    frame = big[30 + shift[0] : 174 + shift[0], 30 + shift[1] : 222 + shift[1]]
    found = continuity(before, frame)
    assert found.score > 0.97 > 0.85 > ssim(before, frame)
    assert found.static_share == 0 and found.static_ssim is None
    halves = [
        cv2.resize(p, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for p in (before, frame)
    ]
    vectors = predict(*halves).vectors[2:-2, 2:-2]
    assert (vectors == (shift[0] // 2, shift[1] // 2)).all()


def test_beyond_the_reach_it_is_lost():
    """A camera that moved further than is looked scores like another scene."""
    big = texture((260, 300))
    before, frame = big[:144, :192], big[100:244, 100:292]
    assert mc_ssim(before, frame) < 0.6


def test_search_by_brute_force():
    """The vector of each block is the least sum of absolute differences of all 225."""
    before = texture((48, 40))
    frame = np.roll(before, (3, -2), (0, 1)) + hashed(before.shape, 8) / 64
    found = predict(before, frame)
    wide = np.pad(before.astype(np.float32), REACH, "edge")
    for row in range(6):
        for column in range(5):
            top, left = row * BLOCK, column * BLOCK
            block = frame[top : top + BLOCK, left : left + BLOCK].astype(np.float32)
            costs = {
                (dy, dx): np.abs(
                    wide[REACH + top + dy :, REACH + left + dx :][:BLOCK, :BLOCK] - block
                ).mean()
                for dy in range(-REACH, REACH + 1)
                for dx in range(-REACH, REACH + 1)
            }
            assert costs[tuple(found.vectors[row, column])] == pytest.approx(min(costs.values()))


def test_score_is_ssim_of_the_prediction():
    """With scikit-image, on what `predict` made."""
    before, frame = scene((160, 160))[..., 0], noisy(scene((160, 160)))[..., 0]
    halves = [p.astype(float).reshape(80, 2, 80, 2).mean((1, 3)) for p in (before, frame)]
    _, values = structural_similarity(
        predict(*halves).picture, halves[1], data_range=255, full=True, gaussian_weights=True,
        sigma=1.5, use_sample_covariance=False,
    )  # fmt: skip
    assert mc_ssim(before, frame) == pytest.approx(values[5:-5, 5:-5].mean(), rel=1e-9)


def test_a_part_moves_and_the_rest_stands_still():
    """A square crosses a still scene with sensor noise: static blocks are judged alone."""

    def frame(number):
        picture = texture() * 0.5 + 60
        picture[60:92, 40 + 6 * number : 72 + 6 * number] = texture((32, 32)) * 0.3 + 180
        return picture + (hashed(picture.shape, number) - 128) / 128

    found = continuity(frame(0), frame(1))
    assert 0.8 < found.static_share < 1 and found.same_share == 0
    assert found.static_ssim > found.score > 0.9
    assert ssim(frame(0), frame(1)) < found.score


def test_frozen_is_exactly_the_same():
    """The same frame again: everything static and the same; one level of noise: static only."""
    picture = scene()
    frozen = continuity(picture, picture.copy())
    assert (frozen.score, frozen.static_ssim, frozen.same_share) == (1.0, 1.0, 1.0)
    live = picture.astype(np.int64) + hashed(picture.shape, 4) % 2
    alive = continuity(picture, np.clip(live, 0, 255).astype(np.uint8))
    assert alive.same_share == 0 and alive.static_share == 1 and alive.static_ssim < 1


def test_half_frozen():
    """A picture whose lower half no longer changes is noticed by the share."""
    picture = scene((160, 160))
    half = noisy(picture, 3)
    half[80:] = picture[80:]
    assert continuity(picture, half).same_share == pytest.approx(0.5, abs=0.02)


def test_two_levels_are_still():
    """Up to two levels per pixel a block is static; above, it is looked for."""
    before = texture()
    assert continuity(before, before + 1.99).static_share == 1
    assert continuity(before, before + 2.01).static_share == 0
