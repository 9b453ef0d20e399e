"""Two-sample statistics on counts: values against SciPy, tails against chance, effects by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from edge_agent.drift.contrast import Measured, largest_share, likelihood_ratio, trends
from edge_agent.drift.grouping import Grouping, groups_of
from edge_agent.drift.scan import SCALES
from tests.edge_agent.drift.streams import LAYOUT, blocks

A = np.array([120, 300, 410, 90, 80])
B = np.array([40, 70, 130, 60, 30])


def trend(first, second):
    """`trends` of one feature."""
    return Measured(*(one[..., 0] for one in trends(first, second, np.zeros(1, np.intp))))


def test_the_likelihood_ratio_is_scipys():
    """G of a 2 x k table; only Williams' correction is ours."""
    table = np.stack([A, B])
    g = stats.chi2_contingency(table, correction=False, lambda_="log-likelihood").statistic
    total, rows, columns = table.sum(), table.sum(1), table.sum(0)
    williams = 1 + (total * (1 / rows).sum() - 1) * (total * (1 / columns).sum() - 1) / (
        6 * total * 4
    )
    assert float(likelihood_ratio(A, B).x) == pytest.approx(g / williams, rel=1e-9)


def test_the_trend_is_the_rank_sum_test():
    """z of Wilcoxon with ties, without continuity correction."""
    first, second = (np.repeat(np.arange(5), one) for one in (A, B))
    p = stats.mannwhitneyu(
        second, first, use_continuity=False, method="asymptotic", alternative="two-sided"
    ).pvalue
    assert stats.chi2.sf(trend(A, B).x, 1) == pytest.approx(p, rel=1e-9)


def test_the_share_is_the_best_two_by_two_table():
    """The largest G of one class against the rest, and the relative change of its share."""
    tables = [[[a, A.sum() - a], [b, B.sum() - b]] for a, b in zip(A, B, strict=True)]
    best = max(
        stats.chi2_contingency(one, correction=False, lambda_="log-likelihood").statistic
        for one in tables
    )
    found = largest_share(A, B)
    assert float(found.x) == pytest.approx(best, rel=1e-9)
    assert float(found.effect) == pytest.approx(1 - (90 / 1000) / (60 / 330), rel=1e-9)


def test_effects_are_those_that_were_put_in():
    """A shift of half a sigma; a share that grew by a fifth; nothing where nothing changed."""
    edges = np.concatenate(([-np.inf], np.linspace(-2.4, 2.4, 13), [np.inf]))
    usual, moved = (np.diff(stats.norm(m).cdf(edges)) * 1e6 for m in (0, 0.5))
    assert float(trend(usual, moved).effect) == pytest.approx(0.48, abs=0.02)
    assert float(trend(moved, usual).effect) == pytest.approx(-0.48, abs=0.02)
    for measure in (trend, likelihood_ratio, largest_share):
        assert float(measure(usual, usual * 3).effect) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("measure", [trend, likelihood_ratio, largest_share])
@pytest.mark.parametrize(
    ("first", "second"),
    [([0, 0, 0], [5, 5, 5]), ([9, 9, 9], [0, 0, 0]), ([50, 0, 0], [90, 0, 0]), ([3, 1], [0, 1])],
)
def test_too_little_says_nothing(measure, first, second):
    """Empty sides, one bin only, fewer than five."""
    found = measure(np.array(first), np.array(second))
    assert all(np.isfinite(value) for value in found) and float(found.x) < 1e-9


@given(st.lists(st.integers(0, 500), min_size=2, max_size=12), st.data())
def test_any_counts_give_finite_numbers(first, data):
    """And the order of the two sides does not matter to x."""
    second = data.draw(st.lists(st.integers(0, 500), min_size=len(first), max_size=len(first)))
    a, b = np.array(first), np.array(second)
    for measure in (trend, likelihood_ratio, largest_share):
        found, mirrored = measure(a, b), measure(b, a)
        assert np.isfinite(found).all() and found.x >= -1e-9 and found.skew >= 0
        assert float(found.x) == pytest.approx(float(mirrored.x), rel=1e-6, abs=1e-6)


def test_many_at_once_are_the_same_as_one_by_one():
    """Leading axes are windows."""
    rng = np.random.default_rng(0)
    first, second = (rng.multinomial(n, [0.1, 0.2, 0.3, 0.4], 50) for n in (2000, 300))
    for measure in (trend, likelihood_ratio, largest_share):
        together = measure(first, second)
        for index in range(50):
            assert np.allclose([v[index] for v in together], measure(first[index], second[index]))


@pytest.mark.parametrize("window", [300, 1600])
def test_far_tails_are_true_where_bins_are_rare(window):
    """At 1e-4 no more than 1.6 times as often as said, with shares down to 2 % (Pearson: 3 times).

    200,000 pairs; the limit is four standard errors above 1.
    """
    rng = np.random.default_rng(5)
    shares = np.array([0.02, 0.05, 0.1, 0.3, 0.33, 0.1, 0.05, 0.03, 0.02])
    first, second = (rng.multinomial(n, shares, 200_000) for n in (5000, window))
    at = 1e-4
    whole, shift, share = (m(first, second) for m in (likelihood_ratio, trend, largest_share))
    often = (
        stats.chi2.sf(whole.x, 8) < at,
        stats.chi2.sf(shift.x, 1) * np.exp(shift.skew) < at,
        stats.chi2.sf(share.x, 1) * 9 < at,
    )
    assert all(one.mean() <= (1 + 4 / np.sqrt(20)) * at for one in often)


def test_a_skewed_feature_is_not_trusted_to_be_normal():
    """98 of 100 frames hold nothing: the plain rank test would err by a factor of three."""
    rng = np.random.default_rng(6)
    first, second = (rng.multinomial(n, [0.98, 0.02], 400_000) for n in (10_000, 300))
    found = trend(first, second)
    plain = (stats.chi2.sf(found.x, 1) < 1e-4).mean() / 1e-4
    corrected = (stats.chi2.sf(found.x, 1) * np.exp(found.skew) < 1e-4).mean() / 1e-4
    assert plain > 3 and corrected < 1.5


def test_groups_hold_what_they_should():
    """Neighbours join, the last rest goes to the last group; rare classes go together."""
    expected = np.array([1.0, 2.0, 3.0, 9.0, 1.0, 5.0, 0.5])
    assert groups_of(expected, ordered=True).tolist() == [0, 0, 0, 1, 2, 2, 2]
    assert groups_of(expected, ordered=False).tolist() == [2, 2, 2, 0, 2, 1, 2]
    few = np.array([50.0, 40.0, 0.0])
    assert groups_of(few, ordered=False).tolist() == [0, 1, 1]
    assert groups_of(np.zeros(3), ordered=True).tolist() == [0, 0, 0]


def test_grouped_counts_are_those_of_the_groups():
    """Every feature and length of window, beside adding them up by hand; shares of rare classes."""
    usual = blocks(1, seed=3)[0].total / 100.0
    usual[LAYOUT.place_of_classes] = (0.008, 0.3, 0.004, 0.2)
    grouping, rng = Grouping.of(LAYOUT, usual), np.random.default_rng(4)
    counts = rng.integers(0, 9, (2, len(SCALES), LAYOUT.size))
    got = grouping.grouped(counts)
    for row, scale in enumerate(SCALES):
        for index, one in enumerate(LAYOUT.features):
            groups = groups_of(usual[one.place] * 100 * scale, ordered=one.ordered)
            wanted = [counts[1, row, one.place][groups == g].sum() for g in range(groups.max() + 1)]
            assert got[1, row, index, : len(wanted)] == pytest.approx(wanted)
            assert not got[1, row, index, len(wanted) :].any()
            assert grouping.freedom[row, index] == len(wanted) - 1


def test_bins_that_only_fill_the_array_change_nothing():
    """Zeros behind the counts, with the freedom of what is before them."""
    filled = [np.concatenate([one, np.zeros(7, int)]) for one in (A, B)]
    assert np.allclose(trend(*filled), trend(A, B))
    assert np.allclose(likelihood_ratio(*filled, np.array(4)), likelihood_ratio(A, B))
