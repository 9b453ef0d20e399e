"""Size and rate against what was agreed on."""

import numpy as np
import pytest

from edge_agent.gate.schema import RATE_FRAMES, Rate, other_size, unusable


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((0, 0, 3), np.uint8),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 1), np.uint8),
        np.zeros((4, 4, 3), np.uint16),
        np.zeros((4, 4, 3), np.float32),
        None,
        b"jpeg",
    ],
)
def test_what_is_no_picture(image):
    """Grey, RGBA, 16 bits, nothing: each is said in words."""
    assert "should be" in unusable(image) or "no pixels" in unusable(image)


def test_a_pixel_is_a_picture():
    """Small, but one."""
    assert unusable(np.zeros((1, 1, 3), np.uint8)) == ""


def test_another_size_names_both():
    """What came and what was calibrated."""
    assert other_size((640, 480), (640, 480)) == ""
    assert "320 x 240" in other_size((320, 240), (640, 480))


def fed(rate, times, *, step=1):
    return [rate.fps(1 + step * number, at) for number, at in enumerate(times)]


def test_the_rate_is_the_sources():
    """Every third frame arriving at a third of the rate is a slow model, not a slow camera."""
    rate = Rate(30.0)
    found = fed(rate, np.arange(40) / 10.0 + 5, step=3)
    assert found[RATE_FRAMES - 2] is None
    assert found[-1] == pytest.approx(30.0) and rate.score(found[-1]) == pytest.approx(0, abs=1e-6)
    assert rate.score(15.0) == pytest.approx(1) and rate.score(60.0) == pytest.approx(1)
    assert "15.0 frames per second" in rate.text(15.0)


def test_a_clock_that_jumps_or_a_source_that_begins_again_is_no_rate():
    """Backwards, far forwards, numbers from one again: counting begins anew."""
    for jump in (-3600.0, 3600.0):
        rate = Rate(10.0)
        times = [*np.arange(40) / 10.0, *(np.arange(20) / 10.0 + 4 + jump)]
        assert fed(rate, times)[40:] == [None] * 20
    rate = Rate(10.0)
    fed(rate, np.arange(40) / 10.0)
    assert rate.fps(1, 4.1) is None
