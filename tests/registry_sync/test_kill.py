"""kill -9 of the real updater process in every state; a second start converges.

`registry-sync run` runs as a process of its own, with the real self-test child; the simulated agent
lives in a thread. A watcher reads the journal and kills the process as soon as the state is there.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from edge_agent.slots import Journal
from registry_sync.rollout import Gate
from tests.registry_sync.simulator import MODEL, Agent, Behaviour, Device, Site, states

GATE = Gate(trial_s=1.0, deadline_s=60.0, min_frames=16.0, stale_s=20.0)
STATES = [*states(), "ROLLING_BACK"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A site with a device on which version 1 is committed."""
    site = Site(tmp_path_factory.mktemp("kill"), poll_s=0.5)
    for version in (1, 2):
        site.publish(version, golden_frames=1, profile=False)
    site.roll_out(1)
    device = Device(site)
    device.settle()
    assert device.version == 1
    device.journal.close()
    return site


@contextmanager
def living_agent(site: Site, behaviour: dict[int, Behaviour]) -> Iterator[None]:
    """An agent that lives in real time, ten windows a second."""
    stop = threading.Event()

    def live() -> None:
        journal = Journal(site.config.layout.journal)
        agent = Agent(site.config, journal, behaviour)
        while not stop.wait(0.1):
            agent.live(0.1, time.time())
        journal.close()

    thread = threading.Thread(target=live)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def updater(site: Site, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """`registry-sync run` as a process; ended at the latest with the block."""
    command = [sys.executable, "-m", "registry_sync", "run", "-c", str(site.config_path), *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(journal: Journal, state: str, timeout_s: float = 60.0) -> None:
    """Until version 2 has come into a state."""
    deadline = time.monotonic() + timeout_s
    while not any((r.version, r.target) == (2, state) for r in journal.history(MODEL)):
        assert time.monotonic() < deadline, [f"{r.target}: {r.reason}" for r in journal.history()]
        time.sleep(0.002)


@pytest.mark.slow
@pytest.mark.parametrize("state", STATES)
def test_killed_and_started_again(installed, tmp_path, state):
    """SIGKILL as soon as the state is in the journal; the next start finishes what was begun."""
    site = installed.copy(tmp_path / "site")
    bad = state == "ROLLING_BACK"
    site.roll_out(2, GATE)
    journal = Journal(site.config.layout.journal)
    with living_agent(site, {2: Behaviour(nonfinite=8)} if bad else {}):
        with updater(site) as process:
            wait_for(journal, state)
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
        linked = site.config.layout.linked(MODEL)
        assert linked in (site.digests[1], site.digests[2])
        assert site.config.layout.release(MODEL, linked).is_dir()
        with updater(site, "--once") as process:
            code = process.wait(timeout=60)
    assert code == int(bad)
    assert site.config.layout.linked(MODEL) == site.digests[1 if bad else 2]
    rows = [row for row in journal.history(MODEL) if row.version == 2]
    assert rows[-1].target == ("ROLLED_BACK" if bad else "COMMITTED")
    assert [row.seq for row in journal.history()] == list(range(1, len(journal.history()) + 1))
    assert bool(journal.bans()) == bad
    journal.close()


def test_sigterm_and_one_at_a_time(installed, tmp_path):
    """SIGTERM ends it with 0 within a second or two; meanwhile a second one is refused."""
    site = installed.copy(tmp_path / "site")
    with updater(site) as process:
        assert process.stderr is not None
        assert b"updating tiny" in process.stderr.readline()
        with updater(site, "--once") as second:
            _, said = second.communicate(timeout=30)
        assert second.returncode == 8
        assert b"another registry-sync works on this folder" in said
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(timeout=10) == 0


def test_resident_memory(installed, tmp_path):
    """The updater that looked once takes at most 60 MB, and has not loaded numpy."""
    site = installed.copy(tmp_path / "site")
    script = (
        "import sys; from registry_sync.cli import main\n"
        f"code = main(['run', '--once', '-c', {str(site.config_path)!r}])\n"
        "peak = next(l for l in open('/proc/self/status') if l.startswith('VmHWM'))\n"
        "print(code, int(peak.split()[1]) // 1024, 'numpy' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    code, peak_mb, heavy = done.stdout.split()
    assert (code, heavy) == ("0", "False"), done.stderr
    assert int(peak_mb) <= 60
