"""What an installation brings, measured in clean virtual environments.

A device gets the agent and the updater and nothing of the builder; a builder gets no torch.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests import bundles

ROOT = Path(__file__).parent.parent
LIMIT_MB = 350
BUILDER_LIMIT_MB = 500
NEVER_ON_A_DEVICE = {"torch", "ultralytics", "mlflow", "mlflow-skinny", "scikit-image", "onnx"}

CONFIG = """
[device]
id = "bare"
data = "data"
run = "run"
[[model]]
name = "tiny"
[[camera]]
id = "cam-1"
source = "dir:{frames}"
model = "tiny"
policy = "wait"
[metrics]
window_s = 0.2
"""


def disk_mb(folder: Path) -> float:
    """What a folder takes on disk, in MB of 2^20 bytes."""
    return sum(p.lstat().st_blocks * 512 for p in folder.rglob("*")) / 2**20


def install(home: Path, extra: str) -> float:
    """Make a virtual environment with an extra of ours; what that added to it, in MB."""
    venv.create(home / "venv", with_pip=True)
    before = disk_mb(home)
    # Built from a copy: setuptools leaves a build/lib beside the sources, which would go stale.
    source = home / "source"
    for name in ("edge_agent", "builder", "registry_sync"):
        shutil.copytree(ROOT / name, source / name)
    for name in ("setup.py", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source / name)
    done = subprocess.run(
        [home / "venv/bin/pip", "install", "-q", "-c", ROOT / "constraints.txt",
         f"{source}[{extra}]"],
        capture_output=True, text=True,
    )  # fmt: skip
    if "NewConnectionError" in done.stderr or "Temporary failure in name" in done.stderr:
        pytest.skip("no package index can be reached from here")
    assert done.returncode == 0, done.stderr[-2000:]
    shutil.rmtree(source)
    return disk_mb(home) - before


@pytest.fixture(scope="module")
def device(tmp_path_factory):
    """An environment with ``.[cpu]``."""
    home = tmp_path_factory.mktemp("device")
    return home, install(home, "cpu")


def run(home: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """One command of the device's environment, from its own folder."""
    return subprocess.run(
        [home / "venv/bin" / command[0], *command[1:]], capture_output=True, text=True, cwd=home
    )


@pytest.mark.slow
def test_device_install_is_small_and_has_no_builder_parts(device):
    """Under 350 MB, and no torch, ultralytics or mlflow."""
    home, added_mb = device
    listed = json.loads(run(home, "pip", "list", "--format", "json").stdout)
    names = {item["name"].lower() for item in listed}
    print(f"\n.[cpu] on Python {sys.version_info[0]}.{sys.version_info[1]}: {added_mb:.0f} MB")
    assert names & NEVER_ON_A_DEVICE == set()
    assert added_mb < LIMIT_MB


@pytest.mark.slow
def test_the_agent_runs_there(device, tmp_path):
    """`edge-agent run` infers a folder of pictures there, with its page, and ends by itself."""
    home, _ = device
    bundle = bundles.make_bundle(tmp_path / "bundle").root
    frames = bundles.write_frames(tmp_path / "frames", count=5)
    config = home / "agent.toml"
    config.write_text(CONFIG.format(frames=frames))
    page = ("--page", "127.0.0.1:0")
    done = run(home, "edge-agent", "run", "-c", config, "--bundle", bundle, *page)
    assert done.returncode == 0, done.stderr
    assert "page: http://127.0.0.1:" in done.stderr
    health = json.loads((home / "run/health.json").read_text())
    assert sum(w["inferred"] for w in health["models"]["tiny"]["windows"]) == 5


@pytest.mark.slow
def test_builder_install_is_small_and_has_no_torch(tmp_path):
    """Under 500 MB, and it builds a bundle of three precisions."""
    added_mb = install(tmp_path, "builder")
    listed = json.loads(run(tmp_path, "pip", "list", "--format", "json").stdout)
    names = {item["name"].lower() for item in listed}
    print(f"\n.[builder] on Python {sys.version_info[0]}.{sys.version_info[1]}: {added_mb:.0f} MB")
    assert not names & {"torch", "ultralytics", "ultralytics-opencv-headless", "scikit-image"}
    assert added_mb < BUILDER_LIMIT_MB
    frames = bundles.write_frames(tmp_path / "frames", count=12)
    done = run(
        tmp_path, "edge-builder", "build", ROOT / "deploy/demo/models/defects-v2.pt", "-o", "made",
        "--reference-data", frames, "--precision", "fp16,int8",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "not compared with PyTorch" in done.stderr
    assert run(tmp_path, "edge-builder", "verify", "made").returncode == 0
