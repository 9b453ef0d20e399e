"""PSI and Jensen-Shannon against values worked out by hand and against scipy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.monitors.psi import jensen_shannon, psi, shares

COUNTS = st.lists(st.integers(0, 10_000), min_size=2, max_size=12)


def test_by_hand():
    """(30, 10) against (10, 30): shares 30.5/41 and 10.5/41."""
    a, b = 30.5 / 41, 10.5 / 41
    assert psi([30, 10], [10, 30]) == pytest.approx(2 * (a - b) * math.log(a / b))


def test_equal_is_zero_and_empty_is_unknown():
    """No difference is 0; no evidence is None, not 0."""
    assert psi([5, 7, 9], [5, 7, 9]) == 0
    assert psi([0, 0], [1, 2]) is None
    assert jensen_shannon([1, 2], [0, 0]) is None


def test_an_empty_bin_is_finite():
    """A bin that only one side has costs something, not infinity."""
    value = psi([100, 0], [50, 50])
    assert value is not None and 0.5 < value < 10


def test_shares_sum_to_one():
    """Smoothing keeps a distribution."""
    assert shares([3, 0, 9]).sum() == pytest.approx(1)


@pytest.mark.parametrize("counts", [[], [-1, 2], [[1, 2]]])
def test_counts_must_be_counts(counts):
    """Negative or nested counts are a programmer's error."""
    with pytest.raises(ValueError, match="counts"):
        shares(counts)


def test_other_bins_cannot_be_compared():
    """Histograms of different length never meet silently."""
    with pytest.raises(ValueError, match="2 bins cannot be compared with 3"):
        psi([1, 2], [1, 2, 3])


@given(COUNTS, st.randoms(use_true_random=False))
def test_both_are_symmetric_and_not_negative(counts, random):
    """Divergences of two histograms over the same bins."""
    other = counts[:]
    random.shuffle(other)
    for divergence in (psi, jensen_shannon):
        forth, back = divergence(counts, other), divergence(other, counts)
        if forth is not None:
            assert forth == pytest.approx(back, abs=1e-12)
            assert forth >= -1e-12


def test_against_scipy():
    """The same shares give what scipy's entropy and jensenshannon give."""
    entropy = pytest.importorskip("scipy.stats").entropy
    distance = pytest.importorskip("scipy.spatial.distance").jensenshannon
    rng = np.random.default_rng(0)
    for _ in range(20):
        first, second = rng.integers(0, 500, (2, 10))
        a, b = shares(first), shares(second)
        assert psi(first, second) == pytest.approx(entropy(a, b) + entropy(b, a), abs=1e-12)
        expected = distance(a, b, base=2) ** 2
        assert jensen_shannon(first, second) == pytest.approx(expected, abs=1e-12)
