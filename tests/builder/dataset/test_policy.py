"""Which scores are kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.dataset.policy import Policy, Spread, keeps
from edge_agent.errors import UsageError

SCORES = [0.2, 0.8, 0.8, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9]


@pytest.mark.parametrize(
    ("policy", "kept"),
    [
        (Policy(), 7),
        (Policy("k-sigma", k=1.0), 9),
        (Policy("k-sigma", k=3.0), 10),
        (Policy("quantile", share=0.15), 9),
    ],
)
def test_policies(policy, kept):
    """Below the mean, far below it, the lowest share."""
    threshold = policy.threshold(SCORES)
    assert sum(keeps(score, threshold) for score in SCORES) == kept


@given(st.floats(-1, 1), st.integers(1, 50), st.sampled_from(["below-mean", "k-sigma", "quantile"]))
def test_equal_images_are_all_kept(score, count, kind):
    """Rounding of the mean drops nobody."""
    threshold = Policy(kind).threshold([score] * count)
    assert keeps(score, threshold)


def test_spread():
    """Mean, deviation and quantiles of known numbers."""
    spread = Spread.of([0.0, 0.5, 1.0])
    assert (spread.mean, spread.least, spread.median, spread.most) == (0.5, 0.0, 0.5, 1.0)
    assert spread.deviation == pytest.approx((1 / 6) ** 0.5)


@pytest.mark.parametrize("numbers", [{"k": 0}, {"k": float("nan")}, {"share": 1.0}, {"share": -1}])
def test_numbers_out_of_range(numbers):
    """Each is refused with an example of a right one."""
    with pytest.raises(UsageError, match="like"):
        Policy("k-sigma", **numbers)
