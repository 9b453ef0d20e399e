"""A simulated site: a real release repository, a device's folders, and an agent that can misbehave.

Nothing here patches anything: the repository is written by edge_agent.release.repo, the releases
are tests/bundles.py's, and the agent implements the production interface (it follows the slot
state, counts starts in the journal and writes ``<run>/health.json``). Only its model is pretended::

    site = Site(tmp_path)                       # repository, keys, agent.toml
    site.publish(1)                             # release tiny/1
    site.roll_out(1)                            # signed rollout document for group line-1
    device = Device(site)                       # an updater with an agent and a clock
    device.settle()                             # until nothing is on the way
    assert device.version == 1

Time is simulated: `Device.wait` moves the clock and lets the agent live that long, so a trial of
minutes takes milliseconds. What each release does on live frames is `Agent.behaviour`.
"""

from __future__ import annotations

import itertools
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from edge_agent.config import Config, Model, SelfTest, load
from edge_agent.health import KEEP, Health, ModelHealth, Window
from edge_agent.release import repo as release_repo
from edge_agent.slots import Journal, Slot, State, choose
from registry_sync.device.clock import Moment
from registry_sync.device.run import Runner, make_client
from registry_sync.device.selftest import Report
from registry_sync.device.steps import World
from registry_sync.fleet import rollouts
from registry_sync.rollout import Gate
from tests.bundles import make_bundle

MODEL, GROUP = "tiny", "line-1"
GATE = Gate(trial_s=10, deadline_s=120, min_frames=40, stale_s=6)
_TOML = """
[device]
id = "cell-1"
data = "data"
run = "run"
tags = {{ site = "hall-2" }}
[repository]
url = "{url}"
root = "root.json"
poll_s = {poll_s}
[metrics]
window_s = 1.0
[[model]]
name = "tiny"
group = "line-1"
"""


class Site:
    """A release repository with its keys, and the configuration of one device."""

    def __init__(self, folder: Path, *, poll_s: float = 10.0, url: str = "") -> None:
        self.folder = folder
        self.repo, self.keys = folder / "repo", folder / "keys"
        self.repository = release_repo.init(self.repo, self.keys)
        self.config_path = folder / "agent.toml"
        url = url or self.repo.as_uri()
        self.config_path.write_text(_TOML.format(url=url, poll_s=poll_s))
        (folder / "root.json").write_bytes((self.repo / "root.json").read_bytes())
        for name in ("data", "run"):
            (folder / name).mkdir()
        self.digests: dict[int, str] = {}

    @property
    def config(self) -> Config:
        """The device's configuration, as the services read it."""
        return load(self.config_path)

    def copy(self, folder: Path) -> Site:
        """The same site in another folder, for a test that may spoil it."""
        shutil.copytree(self.folder, folder, symlinks=True)
        other = object.__new__(Site)
        other.folder, other.digests = folder, dict(self.digests)
        other.repo, other.keys = folder / "repo", folder / "keys"
        other.repository = release_repo.ReleaseRepository.open(other.repo, other.keys)
        other.config_path = folder / "agent.toml"
        text = other.config_path.read_text().replace(self.repo.as_uri(), other.repo.as_uri())
        other.config_path.write_text(text)
        return other

    def publish(self, version: int, **knobs: object) -> str:
        """Publish release tiny/``version``; knobs are those of `make_bundle`; its digest."""
        bundle = make_bundle(self.folder / f"bundle-{version}", version=version, **knobs)
        self.digests[version] = self.repository.publish_release(bundle).digest
        return self.digests[version]

    def roll_out(self, version: int, gate: Gate = GATE, **more: object) -> None:
        """Sign that the group should run a version."""
        rollouts.start(self.repository, MODEL, version, GROUP, gate=gate, **more)

    def roll_back(self, to: int | None = None) -> None:
        """Sign that the group goes back."""
        rollouts.roll_back(self.repository, GROUP, to=to)


@dataclass
class Behaviour:
    """What a release does on live frames, per second of simulated time.

    Attributes:
        detections: mean per frame.
        skipped: share of frames that the quality gate rejects while this release runs.
        crashes: the agent dies as soon as this release is loaded.
        refuses: the agent cannot load it, with this error.
    """

    fps: int = 8
    detections: float = 1.0
    latency_ms: float = 40.0
    nonfinite: int = 0
    errors: int = 0
    skipped: float = 0.0
    provider_ok: bool = True
    rss_mb: float = 150.0
    box_bin: int = 4
    crashes: bool = False
    refuses: str = ""


@dataclass
class Agent:
    """The agent as the updater sees it: journal, `current` link, health file."""

    config: Config
    journal: Journal
    behaviour: dict[int, Behaviour] = field(default_factory=dict)
    running: bool = True
    restarts: bool = True
    seed: int = 0
    loaded: str = ""
    error: str = ""
    windows: list[Window] = field(default_factory=list)
    dead_s: float = 0.0
    boots: int = 1

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def live(self, seconds: float, now: float) -> None:
        """One step of the agent's life: follow the slot state, look at frames, write health."""
        if not self.running:
            return
        if self.dead_s > 0:
            self.dead_s -= seconds
            return
        slot = self.journal.slot(MODEL)
        choice = choose(slot, self.config.layout.linked(MODEL))
        if choice.digest != self.loaded and not self._load(choice.digest):
            return
        self._observe(now)
        self._write(now)

    def _load(self, digest: str) -> bool:
        """Load a release; False when that killed the agent."""
        behaviour = self._behaviour(digest)
        self.journal.count_start(MODEL, digest)
        if behaviour.crashes:
            self.loaded, self.windows, self.boots = "", [], self.boots + 1
            self.dead_s = 2.0 if self.restarts else 1e9
            return False
        if behaviour.refuses:
            self.error = f"{digest[:12]} cannot be loaded: {behaviour.refuses}"
            return True
        self.loaded, self.error, self.windows = digest, "", []
        return True

    def _behaviour(self, digest: str) -> Behaviour:
        return self.behaviour.get(self.journal.version_of(digest), Behaviour())

    def _observe(self, now: float) -> None:
        if not self.loaded:
            return
        does = self._behaviour(self.loaded)
        skipped = round(does.fps * does.skipped)
        inferred = does.fps - skipped
        per_frame = [self._poisson(does.detections) for _ in range(inferred)]
        frames, boxes = [0] * 10, [0] * 10
        for count in per_frame:
            frames[min(count, 9)] += 1
        boxes[does.box_bin] = sum(per_frame)
        self.windows = [*self.windows, Window(
            seq=len(self.windows) + 1, at=now, release=self.loaded, captured=does.fps,
            inferred=inferred, skipped=skipped, errors=does.errors, nonfinite=does.nonfinite,
            detections=sum(per_frame), latency_p50_ms=does.latency_ms if inferred else 0.0,
            provider_ok=does.provider_ok, rss_mb=does.rss_mb,
            counts={"detections_per_frame": frames, "box_area": boxes, "class": [sum(per_frame)]},
        )][-KEEP:]  # fmt: skip

    def _poisson(self, mean: float) -> int:
        return sum(self._random.random() < mean / 20 for _ in range(20))

    def _write(self, now: float) -> None:
        idle = "failed" if self.error else "waiting"
        health = ModelHealth(
            MODEL, self.loaded, self.journal.version_of(self.loaded),
            "running" if self.loaded else idle, self.error, "cpu", tuple(self.windows),
        )  # fmt: skip
        Health(now, f"boot-{self.boots}", 1, {MODEL: health}).write(self.config.layout.health)


@dataclass
class PretendTester:
    """A `Tester` with prepared answers per version; healthy and 20 ms unless told otherwise."""

    journal: Journal
    failures: dict[int, str] = field(default_factory=dict)
    latency_ms: dict[int, float] = field(default_factory=dict)
    tested: list[int] = field(default_factory=list)

    def __call__(self, bundle: Path, model: Model, limits: SelfTest) -> Report:
        version = self.journal.version_of(bundle.name)
        self.tested.append(version)
        failure = self.failures.get(version)
        return Report((failure,) if failure else (), self.latency_ms.get(version, 20.0), 90.0, 4)


class Device:
    """One device: an updater and an agent that share folders, and a clock of their own."""

    def __init__(self, site: Site, **agent: object) -> None:
        self.site = site
        self.config = site.config
        self.journal = Journal(self.config.layout.journal)
        self.agent = Agent(self.config, self.journal, **agent)
        self.tester = PretendTester(self.journal)
        self.said: list[str] = []
        self.now = 1_800_000_000.0
        self.wall_offset = 0.0
        self.runner = self.restart()

    def restart(self, say: Callable[[str], None] | None = None) -> Runner:
        """A fresh updater process, as after a crash; ``say`` is told each transition."""
        client = make_client(self.config, self.journal)
        told = say or self.said.append
        world = World(self.config, self.journal, client, told, self.tester, self.moment)
        self.runner = Runner(client, world, self.wait, monotonic=lambda: self.now)
        self.runner.start()
        return self.runner

    def moment(self) -> Moment:
        """The simulated time."""
        return Moment(self.now + self.wall_offset, self.now - 1_700_000_000.0, "this-boot")

    def wait(self, seconds: float) -> None:
        """Let time pass; the agent lives meanwhile, one window a second."""
        for _ in range(max(1, round(seconds))):
            self.now += max(seconds, 1.0) if seconds < 1 else 1.0
            self.agent.live(1.0, self.now + self.wall_offset)

    def settle(self, seconds: float = 300.0) -> None:
        """Run until the slot rests and a poll found nothing to do, at most so long."""
        end = self.now + seconds
        quiet = 0
        while self.now < end and quiet < 15:
            before = self.journal.history()[-1:]
            self.wait(self.runner.tick())
            busy = self.slot.state in (State.TRIAL, State.SWITCHING, State.ROLLING_BACK)
            quiet = 0 if busy or self.journal.history()[-1:] != before else quiet + 1

    def live(self, seconds: float) -> None:
        """Run for so long, whatever happens."""
        end = self.now + seconds
        while self.now < end:
            self.wait(self.runner.tick())

    @property
    def slot(self) -> Slot:
        """Where the model stands."""
        return self.journal.slot(MODEL)

    @property
    def version(self) -> int:
        """The version that `current` points at, 0 for none."""
        return self.journal.version_of(self.config.layout.linked(MODEL))

    def way(self, version: int) -> list[str]:
        """The states that a version went through, in order."""
        states = {state.value for state in State}
        return [
            row.target
            for row in self.journal.history(MODEL)
            if row.version == version and row.target in states
        ]

    def check_invariants(self) -> None:
        """What holds after any crash (DESIGN.md): a verified release, no retried ban, no gap."""
        linked = self.config.layout.linked(MODEL)
        assert (
            linked == "" or (self.config.layout.release(MODEL, linked) / "manifest.json").exists()
        )
        rows = self.journal.history()
        assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
        for before, after in itertools.pairwise(rows):
            assert before.target == after.origin or before.target not in State.__members__, rows


def states(*names: str) -> list[str]:
    """The usual way to a trial, then ``names``."""
    way = ["RESOLVED", "DOWNLOADED", "VERIFIED", "PREPARED", "SWITCHING", "TRIAL"]
    return [*way, *names]


__all__ = ["GATE", "Agent", "Behaviour", "Device", "Site", "states"]
