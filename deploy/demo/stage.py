"""What the story plays on: folders, the line's clips, broker, registry, repository, one device."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from deploy.demo import broker as broker_module
from deploy.demo.broker import USERNAME, Broker
from deploy.demo.processes import Service, run
from deploy.demo.recorder import Recorder
from deploy.demo.registry import Registry
from edge_agent.errors import OutpostError

GROUP = "line-1"
DEVICE = "line-1-cam-1"

# Short windows and polls, so that a person can watch; a site keeps the defaults.
_CONFIG = """\
# The demo's device. `edge-agent init` writes an annotated one.
[device]
id = "{device}"
tags = {{ site = "demo", camera_type = "simulated" }}
data = "device/data"
run = "device/run"

[mqtt]
url = "{url}"
username = "{username}"
password_file = "broker/password"

[repository]
url = "{repository}"
root = "repo/root.json"
poll_s = 1.0

[[model]]
name = "defects"
group = "{group}"
providers = ["cpu"]
threads = 1

[[camera]]
id = "cam-1"
source = "file:{camera}?loop=1"
model = "defects"
queue = 16

[drift]
spacing_s = 1.0  # a part of the line passes in less
profile_frames = 20

[metrics]
window_s = 1.0
"""


def command(name: str, *arguments: str | Path) -> list[str]:
    """The command line of one of the three programs, from the environment that runs the demo."""
    return [str(Path(sys.executable).with_name(name)), *map(str, arguments)]


@dataclass
class Stage:
    """Everything that lies below ``build/demo`` and everything that runs there."""

    out: Path
    broker: Broker | None = None
    recorder: Recorder | None = None
    registry: Registry | None = None
    services: list[Service] = field(default_factory=list)

    @property
    def config(self) -> Path:
        """The device's agent.toml."""
        return self.out / "agent.toml"

    @property
    def repo(self) -> Path:
        """The release repository."""
        return self.out / "repo"

    @property
    def keys(self) -> Path:
        """The signing keys; at a site they are with different people."""
        return self.out / "keys"

    @property
    def line(self) -> Path:
        """What the generator made: clips, validation images, reference."""
        return self.out / "line"

    @property
    def log(self) -> Path:
        """What the commands said."""
        return self.out / "logs" / "commands.log"

    def clear(self) -> None:
        """Begin with an empty folder; only ever removes what a demo made."""
        marker = self.out / ".outpost-demo"
        if self.out.exists() and any(self.out.iterdir()) and not marker.exists():
            raise OutpostError(f"{self.out}: is not empty and not a demo's; choose another --out")
        shutil.rmtree(self.out, ignore_errors=True)
        self.log.parent.mkdir(parents=True)
        marker.touch()

    def open(self, broker_kind: str | None) -> None:
        """Start the broker, listen to it, and make the registry and the repository."""
        self.broker = broker_module.start(self.out / "broker", broker_kind)
        password = self.broker.password_file.read_text().strip()
        self.recorder = Recorder(self.broker.url, USERNAME, password)
        self.registry = Registry(self.out / "registry")
        self.call("edge-builder", "repo", "init", "--repo", self.repo, "--keys", self.keys)

    def start_device(self) -> None:
        """Write the device's configuration and start its two services."""
        assert self.broker is not None
        self.show_clip("clip.mp4")
        (self.out / "device" / "data").mkdir(parents=True)
        (self.out / "device" / "run").mkdir()
        text = _CONFIG.format(
            device=DEVICE,
            url=self.broker.url,
            username=USERNAME,
            repository=self.repo.as_uri(),
            group=GROUP,
            camera=self.out / "camera.mp4",
        )
        self.config.write_text(text, encoding="utf-8")
        for name in ("edge-agent", "registry-sync"):
            log = self.out / "logs" / f"{name}.log"
            self.services.append(Service(name, command(name, "run", "-c", self.config), log))

    def show_clip(self, name: str) -> None:
        """Let the camera look at another clip: the device's source is a link to it."""
        with tempfile.TemporaryDirectory(dir=self.out) as folder:
            link = Path(folder) / "link"
            link.symlink_to(self.line / name)
            os.replace(link, self.out / "camera.mp4")

    def call(self, name: str, *arguments: str | Path, expect: int = 0) -> str:
        """Run one of the three programs to its end.

        Returns:
            What it printed on stdout, or on stderr when it was meant to refuse.

        Raises:
            OutpostError: when it ended otherwise than expected; the log has all of it.
        """
        done = run(command(name, *arguments), self.log)
        if done.returncode != expect:
            last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no message"]
            raise OutpostError(
                f"{name} {arguments[0]} ended with {done.returncode}: {last[0]} ({self.log})"
            )
        return done.stdout if expect == 0 else done.stderr

    def close(self) -> None:
        """Stop what was started, in the order in which messages can still arrive."""
        for service in self.services:
            service.stop()
        if self.recorder is not None:
            self.recorder.close()
        if self.broker is not None:
            self.broker.stop()
