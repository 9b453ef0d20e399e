"""Our distances against evidently's, on the same counts, where both mean the same.

The values were made by `evidently_values.py` beside this file, which says why they are kept and
where the definitions part.
"""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from edge_agent.drift.distances import kolmogorov_smirnov, wasserstein
from edge_agent.monitors.psi import jensen_shannon, psi
from tests.edge_agent.drift import evidently_values

KEPT = json.loads((Path(__file__).parents[2] / "data/evidently.json").read_bytes())
CASES = [pytest.param(one, id=f"{len(one['first'])} bins") for one in KEPT["cases"]]


@pytest.mark.parametrize("case", CASES)
def test_psi_and_jensen_shannon(case):
    """PSI as it is; evidently tells the root of the divergence, in nats."""
    first, second = case["first"], case["second"]
    assert psi(first, second) == pytest.approx(case["psi"], rel=0, abs=1e-9)
    expected = case["jensen_shannon_nats_root"] ** 2 / math.log(2)
    assert jensen_shannon(first, second) == pytest.approx(expected, rel=0, abs=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_wasserstein(case):
    """Evidently tells it in standard deviations of the reference, we in bins."""
    first, second = case["first"], case["second"]
    sigma = np.repeat(np.arange(len(first)), first).std()
    found = wasserstein(first, second)
    assert found == pytest.approx(case["wasserstein_in_sigmas"] * sigma, rel=0, abs=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_kolmogorov_smirnov(case):
    """Evidently tells the p-value: that of our statistic, by the tail that SciPy takes for it."""
    n, m = sum(case["first"]), sum(case["second"])
    found = kolmogorov_smirnov(case["first"], case["second"])
    sides = [np.repeat(np.arange(len(c)), c) for c in (case["first"], case["second"])]
    if max(n, m) > 10_000:  # asymptotic
        p = stats.kstwo.sf(found, round(n * m / (n + m)))
    else:  # exact: a function of the statistic, so the same p means the same statistic
        told = stats.ks_2samp(*sides)
        assert found == pytest.approx(told.statistic, rel=0, abs=1e-9)
        p = told.pvalue
    assert p == pytest.approx(case["ks_p"], rel=0, abs=1e-9)


def test_the_cases_hold_what_matters():
    """Small p-values and large ones, empty bins, exact tails and asymptotic ones."""
    p = [one["ks_p"] for one in KEPT["cases"]]
    sizes = [max(sum(one["first"]), sum(one["second"])) for one in KEPT["cases"]]
    assert min(sizes) < 10_000 < max(sizes)
    assert min(p) < 0.01 and max(p) > 0.1
    assert all(0 in one["second"] for one in KEPT["cases"])


def test_the_kept_values_are_evidentlys():
    """Where evidently can be imported, it says the same again."""
    pytest.importorskip(
        "evidently",
        exc_type=ImportError,
        reason="evidently does not import beside pandas 3; evidently_values.py says how to ask it",
    )
    for again, kept in zip(evidently_values.document()["cases"], KEPT["cases"], strict=True):
        assert again == pytest.approx(kept, rel=1e-12)
