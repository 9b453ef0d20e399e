"""Frames outside of what the profile's pictures showed."""

from edge_agent.monitors.histogram import Histograms
from edge_agent.monitors.outliers import LEAST_COUNTED, Usual


def usual(count: int = LEAST_COUNTED) -> Usual:
    """Luminance in the bins 0.4..0.45 and 0.5..0.55; nothing else is known."""
    histograms = Histograms(2)
    histograms.add("luminance", [0.42] * (count - 1) + [0.52])
    return Usual(histograms)


def test_one_bin_more_on_each_side_is_usual():
    """From 0.35 to 0.6; beyond that no picture of the profile was near."""
    known = usual()
    inside = (0.35, 0.42, 0.47, 0.52, 0.599)
    assert [known.outlier({"luminance": value}) for value in inside] == [False] * 5
    assert [known.outlier({"luminance": value}) for value in (0.349, 0.6, 1.0)] == [True] * 3


def test_the_outermost_bins_have_no_end():
    """What was seen at the edge of the scale may go on beyond it."""
    histograms = Histograms(2)
    histograms.add("contrast", [0.01] * 30)
    known = Usual(histograms)
    assert known.outlier({"contrast": -1.0}) is False
    assert known.outlier({"contrast": 0.06}) is True


def test_what_is_not_known_is_no_outlier():
    """Few pictures, other features, and values that are not there."""
    assert usual(LEAST_COUNTED - 1).outlier({"luminance": 0.9}) is None
    assert usual().outlier({"contrast": 0.9}) is None
    assert usual().outlier({}) is None
    assert usual().outlier({"luminance": float("nan")}) is False
