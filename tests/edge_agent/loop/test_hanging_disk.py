"""A disk that does not answer holds up no frame, no window and no health file."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from itertools import pairwise

import pytest

from edge_agent.clerk import STALL_S
from edge_agent.health import Health
from edge_agent.telemetry.outbox import Outbox
from tests.bundles import make_bundle
from tests.devices import Device
from tests.hanging import HangingDisk

WINDOW_S = 0.3
FPS = 40
MORE = """
detections = true
[drift]
spacing_s = 0
[capture]
enabled = true
spacing_s = 0.1
"""


@pytest.fixture
def device(tmp_path):
    made = Device(tmp_path, window_s=WINDOW_S, more=MORE)
    made.commit(made.add(make_bundle(tmp_path / "v1")))
    return made


def watched(device, seconds):
    """The health file as the updater polls it: each one that was written, by its time."""
    seen, deadline = {}, time.monotonic() + seconds
    while time.monotonic() < deadline:
        health = Health.read(device.layout.health)
        if health is not None:
            seen[health.at] = health
        time.sleep(0.01)
    return [seen[at] for at in sorted(seen)]


def status(device):
    """What `edge-agent status` prints; it does not hang either."""
    command = [sys.executable, "-m", "edge_agent", "status", "-c", str(device.config_path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=20).stdout


def kept(device):
    """What waits in the outbox, oldest first."""
    outbox = Outbox(device.layout.outbox, 1 << 26)
    waiting = [
        (item.parcel.suffix, json.loads(item.parcel.payload)) for item in outbox.waiting(10_000)
    ]
    outbox.close()
    return waiting


def test_frames_windows_and_health_go_on(device, tmp_path, monkeypatch):
    """Seconds in which every call below the data folder hangs; nothing of them is lost."""
    disk = HangingDisk(tmp_path, device.layout.data, monkeypatch)
    with device.agent("--telemetry", f"log:{tmp_path / 'none' / 'here'}") as agent:
        device.wait_health(lambda model: len(model.windows) >= 3)
        with disk.hanging():
            seen = watched(device, STALL_S + 2.0)
            said = status(device)
        healthy = device.wait_health(lambda model: model.windows[-1].at > seen[-1].at + 1)
        assert Health.read(device.layout.health).disk == ""
        assert agent.stop() == 0, agent.text()
    assert any(health.disk.startswith("disk stalled: data for ") for health in seen)
    assert "disk stalled: data for " in said and "running" in said
    gaps = [after.at - before.at for before, after in pairwise(seen)]
    assert max(gaps) < 3 * WINDOW_S and len(seen) >= STALL_S / WINDOW_S
    windows = healthy.windows
    assert [w.seq for w in windows] == list(range(windows[0].seq, windows[0].seq + len(windows)))
    assert sum(w.dropped + w.errors for w in windows) == 0
    # the first window may be short
    assert min(w.inferred for w in windows[1:]) >= WINDOW_S * FPS / 2
    check_kept(kept(device), len(windows))


def check_kept(told, windows):
    """Each window once, in order, without a gap in the numbers; the stall is told."""
    assert [d["seq"] for _, d in told] == list(range(1, len(told) + 1))
    times = [d["ts"] for _, d in told]
    assert times == sorted(times)
    outputs = [d for suffix, d in told if suffix == "up/metrics/output"]
    assert len(outputs) >= windows
    assert max(b["ts"] - a["ts"] for a, b in pairwise(outputs)) < 3 * WINDOW_S
    (stall,) = [d for _, d in told if d.get("kind") == "disk.stalled"]
    assert stall["severity"] == "warning" and stall["place"] == "data"
    assert STALL_S < stall["seconds"] < STALL_S + 4
    system = [d for suffix, d in told if suffix == "up/metrics/system"]
    assert system[-1]["disk_stalls_total"] == 1 and system[-1]["telemetry_lost_total"] == 0
    assert any("disk_free_mb" not in d for d in system)  # nobody could say
    assert "disk_free_mb" in system[-1]


def test_the_end_does_not_wait_for_it(device, tmp_path, monkeypatch):
    """SIGTERM ends the process while the disk hangs; the next start goes on with what it had."""
    disk = HangingDisk(tmp_path, device.layout.data, monkeypatch)
    with device.agent("--telemetry", f"log:{tmp_path / 'none' / 'here'}") as agent:
        device.wait_health(lambda model: len(model.windows) >= 3)
        with disk.hanging():
            watched(device, 1.0)
            began = time.monotonic()
            assert agent.stop() == 0, agent.text()
            assert time.monotonic() - began < 5.0
        assert "what waits for it is lost" in agent.text()
    before = len(kept(device))
    with device.agent() as agent:
        device.wait_health(lambda _: Health.read(device.layout.health).pid == agent.process.pid)
        device.wait_health(lambda model: len(model.windows) >= 2)
        assert agent.stop() == 0, agent.text()
    assert before > 3 and device.health().state == "stopped"
