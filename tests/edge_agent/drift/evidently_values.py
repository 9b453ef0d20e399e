"""Makes `tests/data/evidently.json`: what evidently says of the counts that we are tested on.

Evidently 0.7 imports a name that pandas 3 no longer has, and pandas 3 is what this repository is
tested with; so it runs in an environment of its own (300 MB beside pandas and SciPy), and what it
said is kept:

    python -m venv evidently-env
    evidently-env/bin/pip install "evidently==0.7.23" "pandas<3"
    evidently-env/bin/python tests/edge_agent/drift/evidently_values.py tests/data/evidently.json

Evidently takes samples and not counts. It is given each bin's number as often as the bin counted,
as a category for PSI and Jensen-Shannon: for numbers it chooses bins of its own (Sturges over both
sides), where ours are fixed. An empty bin it fills with a share of 0.0001, we count half a sample
more in every bin; `smoothed` gives it our shares, 2 n + 1 samples for a count of n. Of the test of
Kolmogorov and Smirnov it tells the p-value only.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

PACKAGES = ("evidently", "numpy", "pandas", "scipy")
CASES = 12
_ANY = 0.0  # the threshold of a verdict that is not looked at


def pairs() -> list[tuple[list[int], list[int]]]:
    """Pairs of counts: 2 to 20 bins, one of them empty, nearly the same distribution.

    The last half is so large that the test's p-value is the asymptotic one.
    """
    rng = np.random.default_rng(20)
    made = []
    for case in range(CASES):
        shares = rng.dirichlet(np.ones(int(rng.integers(2, 21))))
        other = shares * rng.uniform(0.9, 1.1, len(shares))
        other[other.argmin()] = 0.0
        size = 300 if case < CASES // 2 else 12_000
        first = rng.multinomial(size, shares)
        second = rng.multinomial(size + 7 * case, other / other.sum())
        made.append((first.tolist(), second.tolist()))
    return made


def values_of(first: list[int], second: list[int]) -> dict[str, float]:
    """Evidently's four values for a pair of counts."""
    from evidently.legacy.calculations.stattests.jensenshannon import _jensenshannon
    from evidently.legacy.calculations.stattests.ks_stattest import _ks_stat_test
    from evidently.legacy.calculations.stattests.psi import _psi
    from evidently.legacy.calculations.stattests.wasserstein_distance_norm import (
        _wasserstein_distance_norm,
    )
    from evidently.legacy.core import ColumnType

    plain = samples(first), samples(second)
    smoothed = tuple(samples([2 * n + 1 for n in counts]) for counts in (first, second))
    found = {
        "psi": _psi(*smoothed, ColumnType.Categorical, _ANY),
        "jensen_shannon_nats_root": _jensenshannon(*smoothed, ColumnType.Categorical, _ANY),
        "ks_p": _ks_stat_test(*plain, ColumnType.Numerical, _ANY),
        "wasserstein_in_sigmas": _wasserstein_distance_norm(*plain, ColumnType.Numerical, _ANY),
    }
    return {name: float(value) for name, (value, _) in found.items()}


def samples(counts: list[int]) -> Any:
    """A series with each bin's number as often as it counted."""
    import pandas

    return pandas.Series(np.repeat(np.arange(len(counts)), counts))


def document() -> dict[str, Any]:
    """The file's content."""
    cases = [
        {"first": first, "second": second, **values_of(first, second)} for first, second in pairs()
    ]
    return {"made_with": {name: version(name) for name in PACKAGES}, "cases": cases}


def rendered() -> str:
    """JSON, a line for each case."""
    whole = document()
    cases = ",\n".join(json.dumps(case) for case in whole["cases"])
    return f'{{"made_with": {json.dumps(whole["made_with"])}, "cases": [\n{cases}\n]}}\n'


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(rendered(), encoding="utf-8")
