"""Registry, workshop and clock under a test's control, behind the production's interfaces.

    world = World(tmp_path)
    world.alias = 1                      # somebody promotes version 1
    world.run(until=60)                  # the watcher steps; its pauses move the clock
    assert world.kinds() == ["build.started", "release.published"]

Set ``down_until`` to silence the registry, ``build_errors[version]`` to let builds fail (a list is
used up, one exception stays), ``during_build`` to do something in the middle of one. ``restart()``
is a new process on the same memory.
"""

from __future__ import annotations

import random
from pathlib import Path

from builder.watch.ports import Made, Shipped
from builder.watch.watcher import Plan, Watcher
from edge_agent.errors import RegistryError


class World:
    """Everything outside of the watcher, and the watcher."""

    def __init__(self, folder: Path, poll_s: float = 60.0) -> None:
        self.folder = folder
        self.poll_s = poll_s
        self.now = 1_800_000_000.0
        self.start = self.now
        self.alias: int | None = None
        self.down_until = 0.0
        self.build_errors: dict[int, object] = {}
        self.during_build = lambda version: None
        self.build_s = 10.0
        self.tags: dict[int, dict[str, str]] = {}
        self.releases: dict[int, str] = {}
        self.built: list[int] = []
        self.looks: list[float] = []
        self.left_over = False
        self.made_warnings: tuple[str, ...] = ("no --reference-image",)
        self.shipped_warnings: tuple[str, ...] = ()
        self.events: list[tuple[str, dict[str, object]]] = []
        self.watcher = self.restart()

    # the registry
    def promoted(self) -> int | None:
        """See `builder.watch.ports.RegistryPort`."""
        self.looks.append(self.now - self.start)
        self._answer()
        return self.alias

    def tag(self, version: int, tags: dict[str, str]) -> None:
        """See `builder.watch.ports.RegistryPort`."""
        self._answer()
        self.tags.setdefault(version, {}).update(tags)

    def _answer(self) -> None:
        if self.now - self.start < self.down_until:
            raise RegistryError("http://registry: refused; check the address")

    # the workshop
    def released(self, version: int) -> Shipped | None:
        """See `builder.watch.ports.WorkshopPort`."""
        digest = self.releases.get(version)
        return Shipped(digest, f"https://site/{version}") if digest else None

    def build(self, version: int) -> Made:
        """Takes `build_s`, then fails if it should."""
        self.built.append(version)
        self.left_over = True
        self.during_build(version)
        self.now += self.build_s
        error = self.build_errors.get(version)
        if isinstance(error, list):
            error = error.pop(0) if error else None
        if isinstance(error, BaseException):
            raise error
        return Made(f"digest-{version}", self.made_warnings)

    def publish(self, version: int) -> Shipped:
        """Publishing is instant."""
        self.releases[version] = f"digest-{version}"
        return Shipped(self.releases[version], f"https://site/{version}", self.shipped_warnings)

    def discard(self) -> None:
        """What was built is gone."""
        self.left_over = False

    # the rest
    def hear(self, kind: str, **facts: object) -> None:
        """Every event is kept."""
        self.events.append((kind, facts))

    def kinds(self) -> list[str]:
        """The events' names, without warnings."""
        return [kind for kind, _ in self.events if not kind.endswith("warning")]

    def restart(self) -> Watcher:
        """A new process on the same memory."""
        self.watcher = Watcher(
            Plan("defects", self.poll_s), self, self, self.folder / "memory.json", self.hear,
            clock=lambda: self.now, chance=random.Random(1).random,
        )  # fmt: skip
        return self.watcher

    def run(self, until: float) -> None:
        """Step until so many seconds after the start."""
        while self.now - self.start < until:
            self.now += self.watcher.step()
