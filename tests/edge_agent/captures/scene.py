"""A recorder with a simulated disk under it and a clock that a test moves."""

from __future__ import annotations

import time

from edge_agent.captures.record import parse
from edge_agent.captures.recorder import Recorder
from edge_agent.captures.store import Store
from edge_agent.config import parse as parse_config
from tests.edge_agent.captures.simulator import Frames, SimulatedDisk, verdict

DIRTY = verdict(passed=False, text="lens blurred")


class Scene:
    """A recorder on a simulated disk, with a clock that a test moves."""

    def __init__(self, bundle, disk=None, *, start=True, **capture):
        defaults = {"enabled": True, "baseline_per_hour": 0, "spacing_s": 0, "reserve_mb": 0}
        document = {
            "device": {"id": "cell-3"},
            "model": [{"name": "tiny"}],
            "camera": [{"id": "top", "source": "dir:x", "model": "tiny"}],
            "capture": defaults | {"per_minute": 1000} | capture,
        }
        config = parse_config(document, bundle.root / "agent.toml").capture
        self.disk = disk or SimulatedDisk()
        self.now = 1000.0
        self.told = []
        store = Store(self.disk, most_bytes=int(config.max_mb * 1e6), reserve_bytes=0)
        self.recorder = Recorder(
            config,
            store,
            lambda message, version: self.told.append((message.payload, version)),
            device="cell-3",
            boot="b00c",
            clock=lambda: self.now,
        )
        self.frames = Frames(bundle)
        self.listen = self.recorder.listener("top")
        if start:
            self.recorder.start()

    def settle(self):
        """Wait until everything that waits is written."""
        self.recorder.close(20.0)

    def total(self, name):
        return self.recorder.totals()[f"captures_{name}_total"]

    def kinds(self):
        return [payload["kind"] for payload, _ in self.told]

    def sidecars(self):
        names = sorted(name for name in self.disk.files if name.endswith(".json"))
        return [parse(self.disk.files[name], name) for name in names]


def wait_for(condition, timeout_s=10.0):
    """Until another thread has done its part."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)
