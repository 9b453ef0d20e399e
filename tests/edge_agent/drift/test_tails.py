"""Tails without SciPy, against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from edge_agent.drift.tails import chi2_tail, normal_tail


@pytest.mark.parametrize("freedom", [1, 2, 3, 9, 20, 49])
@pytest.mark.parametrize("x", [1e-6, 0.5, 3.0, 10.0, 30.0, 60.0, 150.0, 600.0])
def test_chi_square(freedom, x):
    """To 1e-9 of its value, as far out as 1e-130."""
    assert float(chi2_tail(x, freedom)) == pytest.approx(stats.chi2.sf(x, freedom), rel=1e-9)


def test_chi_square_at_the_ends():
    """Never outside [0, 1]."""
    assert float(chi2_tail(0.0, 3)) == float(chi2_tail(-1.0, 3)) == 1.0
    assert float(chi2_tail(1e5, 1)) == float(chi2_tail(1e5, 30)) == 0.0


def test_many_at_once():
    """Values and degrees broadcast, odd and even ones beside each other."""
    x, freedom = np.linspace(0.1, 90, 40)[:, None], np.arange(1, 60)
    assert np.allclose(chi2_tail(x, freedom), stats.chi2.sf(x, freedom), rtol=1e-9, atol=0)


@pytest.mark.parametrize("z", [-8.0, -1.0, 0.0, 0.3, 2.0, 5.0, 9.0, 30.0])
def test_normal(z):
    """To 1e-12."""
    assert float(normal_tail(z)) == pytest.approx(stats.norm.sf(z), rel=1e-12)
