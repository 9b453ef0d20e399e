"""The picture metrics' costs: the command runs and names every metric."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from edge_agent.quality import METRICS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_every_metric_has_a_row():
    """In a process of its own, for piq's sake; those with an independent program show it."""
    for name in ("piq", "sewar", "skimage"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    command = [
        sys.executable, "-W", "ignore", "-m", "benchmarks.quality", "--side", "176", "--rounds",
        "1", "--json",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert list(rows) == [f"quality_{name}_ms" for name in METRICS]
    assert all(row["value"] > 0 for row in rows.values())
    peers = {row["peer"] for row in rows.values()}
    assert {"scikit-image", "sewar", "piq"} <= peers
