"""The soak test's own arithmetic, and a short life of the real agent."""

import numpy as np
import pytest

from benchmarks.soak import Soaked, slope, soak
from tests.bundles import make_bundle


def test_slope_of_a_line_with_outliers():
    """A garbage collection at the wrong moment does not tilt it."""
    xs = np.arange(100.0)
    ys = 3 * xs + 7
    ys[[5, 70]] += 1000
    assert slope(xs, ys) == pytest.approx(3)
    assert slope(xs, np.full(100, 9.0)) == 0


def test_growth_and_files_are_judged():
    """Either one says that a life has an end."""
    flat = Soaked(10, 1.0, 90.0, 0.0, 20, 0)
    assert flat.flat
    assert not Soaked(10, 1.0, 90.0, 5000.0, 20, 0).flat
    assert not Soaked(10, 1.0, 90.0, 0.0, 20, 1).flat


def test_a_short_life_is_flat(tmp_path):
    """Two thousand frames: everything is judged, no file stays open, no megabyte per thousand."""
    soaked = soak(make_bundle(tmp_path / "bundle"), tmp_path, 2000)
    assert soaked.frames >= 2000 and soaked.files_more <= 0
    assert soaked.growth_kb < 1e6  # 1 KiB per frame; a picture that stays is 45
