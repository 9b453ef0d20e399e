"""A device in a folder: agent.toml, data and run folders, a journal, and its agent as a process.

::

    device = Device(tmp_path, url=broker.url)
    v1 = device.add(make_bundle(tmp_path / "v1"))
    v2 = device.add(make_bundle(tmp_path / "v2", version=2))
    device.commit(v1)
    with device.agent() as agent:          # `edge-agent run`, a real process
        device.put_on_trial(v2, previous=v1)
        device.wait_health(lambda model: model.release == v2)
        assert agent.stop() == 0

It plays the updater's part with the updater's own means: the journal and the ``current`` link.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from edge_agent.atomic import replace_symlink
from edge_agent.bundle import Bundle
from edge_agent.config import load
from edge_agent.health import Health, ModelHealth
from edge_agent.slots import Journal, Slot, State
from tests.bundles import write_frames

MODEL = "tiny"


class AgentProcess:
    """`edge-agent run` as a child process; its stderr goes to a file."""

    def __init__(self, arguments: list[str], log: Path):
        self.log = log
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "edge_agent", *arguments],
                stdout=file,
                stderr=file,
            )

    def text(self) -> str:
        """What it logged."""
        return self.log.read_text()

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(10)

    def stop(self, timeout_s: float = 10.0) -> int:
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)


class Device:
    """One device's files; see the module's docstring."""

    def __init__(
        self,
        root: Path,
        *,
        url: str = "",
        source: str = "",
        window_s: float = 0.3,
        device: str = "cell-3",
        camera: str = "",
        model: str = "",
        more: str = "",
    ):
        self.root = root / f"device-{device}"
        self.root.mkdir(parents=True, exist_ok=True)
        self.id = device
        if not source:
            source = f"dir:{write_frames(self.root / 'frames', 12)}?fps=40&loop=1"
        mqtt = f'[mqtt]\nurl = "{url}"\nkeepalive_s = 5\n' if url else ""
        self.config_path = self.root / "agent.toml"
        self.config_path.write_text(
            f'[device]\nid = "{device}"\ndata = "data"\nrun = "run"\n{mqtt}'
            f'[[model]]\nname = "{MODEL}"\nthreads = 1\n{model}\n'
            f'[[camera]]\nid = "top"\nsource = "{source}"\nmodel = "{MODEL}"\nqueue = 8\n{camera}\n'
            f"[metrics]\nwindow_s = {window_s}\n{more}"
        )
        self.config = load(self.config_path)
        self.layout = self.config.layout
        self.layout.data.mkdir(exist_ok=True)
        self.layout.run.mkdir(exist_ok=True)
        self.journal = Journal(self.layout.journal)

    def add(self, bundle: Bundle) -> str:
        """Install a bundle's files as a release, as the updater's store does; its digest."""
        digest = bundle.manifest.digest
        shutil.copytree(bundle.root, self.layout.release(MODEL, digest))
        self.journal.remember_release(digest, MODEL, bundle.manifest.version)
        return digest

    def commit(self, digest: str, previous: str = "") -> None:
        """The state after a successful install (or rollback)."""
        self.link(digest)
        slot = Slot(MODEL, State.COMMITTED, committed=digest, previous=previous)
        self.journal.transition(slot, reason="committed by the test")

    def put_on_trial(self, digest: str, previous: str) -> None:
        """What the updater does at a switch, in its order."""
        slot = Slot(MODEL, State.SWITCHING, committed=previous, candidate=digest)
        self.journal.transition(slot, reason="the rollout says so")
        self.link(digest)
        slot = Slot(MODEL, State.TRIAL, committed=previous, candidate=digest)
        self.journal.transition(slot, reason="switched")

    def link(self, digest: str) -> None:
        """Point ``current`` at a release."""
        replace_symlink(self.layout.current(MODEL), f"releases/{digest}")

    def health(self) -> ModelHealth | None:
        """What the agent last wrote of the model."""
        health = Health.read(self.layout.health)
        return health.models.get(MODEL) if health else None

    def wait_health(self, condition, timeout_s: float = 15.0) -> ModelHealth:
        """Wait until the health file says so; health.json is polled, as the updater does."""
        deadline = time.monotonic() + timeout_s
        while True:
            model = self.health()
            if model is not None and condition(model):
                return model
            assert time.monotonic() < deadline, f"waited {timeout_s} s for {model}"
            time.sleep(0.02)

    @contextmanager
    def agent(self, *arguments: str):
        """`edge-agent run` on this device."""
        log = self.root / "agent.log"
        agent = AgentProcess(["run", "-c", str(self.config_path), *arguments], log)
        try:
            yield agent
        finally:
            if agent.process.poll() is None:
                os.kill(agent.process.pid, signal.SIGKILL)
                agent.process.wait(10)
