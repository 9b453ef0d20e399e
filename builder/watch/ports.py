"""What a watcher reaches: the registry, the workshop, and who listens to its events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Made:
    """A bundle that was built: its digest, and what a person should know."""

    digest: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shipped:
    """A release: digest, where its manifest can be read, what a person should know."""

    digest: str
    link: str
    warnings: tuple[str, ...] = ()


class RegistryPort(Protocol):
    """The model registry."""

    def promoted(self) -> int | None:
        """The version that the alias means now, None for none; raises `RegistryError`."""

    def tag(self, version: int, tags: Mapping[str, str]) -> None:
        """Write tags onto a version; raises `RegistryError`."""


class WorkshopPort(Protocol):
    """Builder and release repository."""

    def released(self, version: int) -> Shipped | None:
        """The release of a version that is published already; raises `OutpostError`."""

    def build(self, version: int) -> Made:
        """Build the version's bundle, which stays until `discard`; raises `OutpostError`."""

    def publish(self, version: int) -> Shipped:
        """Publish what was built; publishing twice is harmless; raises `OutpostError`."""

    def discard(self) -> None:
        """Remove what was built, also by a process that died."""


class EventPort(Protocol):
    """Who hears what happens."""

    def __call__(self, kind: str, **facts: object) -> None:
        """One event, with facts that JSON can hold."""
