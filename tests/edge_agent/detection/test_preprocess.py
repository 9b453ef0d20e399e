"""The letterbox against arithmetic done by hand; against ultralytics in test_reference.py."""

import tracemalloc
from dataclasses import replace

import cv2
import numpy as np
import pytest

from edge_agent.bundle import InputSpec
from edge_agent.detection.preprocess import Canvas, Letterbox, place
from edge_agent.errors import SourceError

SPEC = InputSpec(64, 64, "NCHW", "RGB", 1 / 255, 114, "linear", True, "round-0.1")


def test_placement_of_a_wide_picture():
    """192 x 96 goes to 64 x 32 with 16 rows above."""
    placement, size = place(SPEC, 192, 96)
    assert size == (64, 32)
    assert (placement.pad_x, placement.pad_y) == (0, 16)
    assert placement.gain_x == placement.gain_y == pytest.approx(1 / 3)


def test_odd_border_has_the_smaller_half_first():
    """64 - 43 = 21 rows of border: 10 above, 11 below (round(10.5 - 0.1) and round(10.5 + 0.1))."""
    placement, size = place(SPEC, 96, 64)
    assert size == (64, 43)
    assert placement.pad_y == 10


def test_scaleup_off_keeps_small_pictures():
    """Without scaleup a smaller picture is only framed."""
    placement, size = place(replace(SPEC, scaleup=False), 20, 10)
    assert size == (20, 10)
    assert (placement.gain_x, placement.pad_x, placement.pad_y) == (1.0, 22, 27)


def test_thin_pictures_keep_a_pixel():
    """A 3000 x 1 line still has a row in the tensor, and its gain says so."""
    placement, size = place(SPEC, 3000, 1)
    assert size == (64, 1)
    assert placement.gain_y == 1.0
    tensor, _ = Letterbox(SPEC)(np.full((1, 3000, 3), 255, np.uint8))
    assert tensor[0, :, placement.pad_y].min() == 1.0


def test_values_and_colour_order():
    """Pixels become value / 255 exactly, in RGB order, inside a border of 114 / 255."""
    image = np.empty((32, 64, 3), np.uint8)
    image[:] = (10, 20, 30)
    tensor, placement = Letterbox(SPEC)(image)
    assert tensor.shape == (1, 3, 64, 64) and tensor.dtype == np.float32
    inside = tensor[0, :, placement.pad_y + 5, 5]
    assert inside.tolist() == (np.float32([30, 20, 10]) / np.float32(255)).tolist()
    assert tensor[0, :, 0, 0].tolist() == [np.float32(114) / np.float32(255)] * 3
    blue_first, _ = Letterbox(replace(SPEC, colour="BGR"))(image)
    assert blue_first[0, :, 20, 5].tolist() == inside[::-1].tolist()


def test_border_is_renewed_when_the_size_changes():
    """After a wide picture a tall one leaves nothing of the first in its border."""
    letterbox = Letterbox(SPEC)
    letterbox(np.zeros((32, 64, 3), np.uint8))
    tensor, _ = letterbox(np.zeros((64, 32, 3), np.uint8))
    fresh, _ = Letterbox(SPEC)(np.zeros((64, 32, 3), np.uint8))
    assert np.array_equal(tensor, fresh)


def test_no_allocation_in_steady_state():
    """Frames of one size reuse every buffer."""
    spec = replace(SPEC, width=320, height=320)
    letterbox, image = Letterbox(spec), np.zeros((480, 640, 3), np.uint8)
    letterbox(image)
    tracemalloc.start()
    try:
        letterbox(image)
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(5):
            letterbox(image)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < 120_000  # numpy's cast buffer and small tuples, no picture


@pytest.mark.parametrize(
    ("image", "word"),
    [
        (None, "NoneType"),
        (np.zeros((5, 5), np.uint8), "5 x 5"),
        (np.zeros((5, 5, 4), np.uint8), "5 x 5 x 4"),
        (np.zeros((5, 5, 3), np.uint16), "uint16"),
        (np.zeros((5, 5, 3), np.float32), "float32"),
        (np.zeros((0, 5, 3), np.uint8), "no pixels"),
    ],
)
def test_what_is_not_a_picture_is_named(image, word):
    """Grey, RGBA, 16-bit, float and empty frames are refused with what they are."""
    with pytest.raises(SourceError, match=word):
        Letterbox(SPEC)(image)


def test_a_single_pixel_is_a_picture():
    """1 x 1 is enlarged like any other."""
    tensor, placement = Letterbox(SPEC)(np.full((1, 1, 3), 255, np.uint8))
    assert tensor.min() == 1.0
    assert placement.gain_x == 64.0


def test_a_reversed_view_is_read_as_it_looks():
    """Negative strides (a picture turned by a view) give what a copy gives."""
    image = np.random.default_rng(0).integers(0, 256, (40, 64, 3), np.uint8)[::-1, ::-1]
    viewed = Letterbox(SPEC)(image)[0].copy()
    assert np.array_equal(viewed, Letterbox(SPEC)(image.copy())[0])


@pytest.mark.parametrize("ratio", [3, 5, 7])
def test_a_whole_odd_ratio_is_the_linear_filter_to_the_last_bit(ratio):
    """There the filter takes one pixel; the quick way must take the same one, with any stride."""
    wide = np.random.default_rng(ratio).integers(0, 256, (36 * ratio, 66 * ratio, 3), np.uint8)
    for image in (wide[:, : 64 * ratio], wide[:, : 64 * ratio].copy()):
        tensor, placement = Letterbox(SPEC)(image)
        top, left = placement.pad_y, placement.pad_x
        small = cv2.resize(image, (64, 36), interpolation=cv2.INTER_LINEAR)
        inside = tensor[0, :, top : top + 36, left : left + 64]
        assert np.array_equal(inside, small[..., ::-1].transpose(2, 0, 1) / np.float32(255))


def test_two_canvases_keep_two_pictures():
    """What was made first stays while the next is made; each has its own border."""
    letterbox, first, second = Letterbox(SPEC), Canvas(SPEC), Canvas(SPEC)
    wide, tall = np.zeros((32, 64, 3), np.uint8), np.full((64, 32, 3), 255, np.uint8)
    one, _ = letterbox(wide, first)
    kept = one.copy()
    other, _ = letterbox(tall, second)
    assert np.array_equal(one, kept) and np.array_equal(one, Letterbox(SPEC)(wide)[0])
    assert np.array_equal(other, Letterbox(SPEC)(tall)[0])
    again, _ = letterbox(tall, first)
    assert again is first.tensor and np.array_equal(again, other)
