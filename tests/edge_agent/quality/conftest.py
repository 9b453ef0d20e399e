"""The independent library's scores, computed once in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def piq_scores() -> dict[str, dict[str, float]]:
    """What piq says of each pair of pictures, by metric."""
    for name in ("torch", "piq"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    command = [sys.executable, "-W", "ignore", "-m", "tests.edge_agent.quality.piq_scores"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
