"""What the checks look at: reduced by averaging, with some rows as they came."""

import cv2
import numpy as np
import pytest

from edge_agent.gate.statistics import measure
from edge_agent.gate.view import LINE_STEP, line_mask, look, reduce


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (512, 384), (1280, 720), (640, 480)])
def test_reduced_and_lines(width, height):
    """The width that was asked for, the picture's shape, and rows of the picture itself."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (height, width, 3)).astype(np.uint8)
    view = look(image, 160)
    assert view.gray.shape == (round(height * 160 / width), 160) and view.size == (width, height)
    assert np.array_equal(view.gray, reduce(image, 160))
    step = max(1, width // 640) * LINE_STEP
    assert np.array_equal(view.lines, cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[::step])


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3), (159, 90)])
def test_small_pictures_only_lose_colour(size):
    """Nothing is enlarged, nothing fails."""
    width, height = size
    image = np.full((height, width, 3), 77, np.uint8)
    view = look(image, 160)
    assert view.gray.shape[1] <= 160 and (view.gray == 77).all() and view.lines.shape[1] == width


def test_reducing_averages():
    """A fine checkerboard becomes grey, not black or white."""
    board = (np.indices((384, 512)).sum(0) % 2 * 255).astype(np.uint8)
    gray = reduce(np.repeat(board[:, :, None], 3, 2), 160)
    assert np.abs(gray.astype(int) - 127).max() <= 12


def test_a_mask_for_lines():
    """The reduced picture's upper half is the lines' upper half."""
    mask = np.zeros((90, 160), np.uint8)
    mask[:45] = 255
    lines = line_mask(mask, (46, 1920))
    assert lines[:23].all() and not lines[23:].any()


def test_colour_is_taken_from_single_pixels():
    """Every so many of every so many rows; of a small picture every pixel of every other row."""
    image = np.zeros((720, 1280, 3), np.uint8)
    image[..., 0], image[..., 2] = 50, 101
    view = look(image, 160)
    assert view.colour.shape == (45, 160, 3)
    seen = measure(view.gray, view.colour)
    assert seen.warmth == pytest.approx(51 / 255) and seen.chroma == pytest.approx(101 / 255)
    gray = look(np.full((3, 5, 3), 80, np.uint8), 160)
    assert gray.colour.shape == (2, 5, 3)
    assert (measure(gray.gray, gray.colour).warmth, measure(gray.gray, gray.colour).chroma) == (
        0,
        0,
    )
