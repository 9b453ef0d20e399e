"""The loop: look, decide, act, remember. All policy is in `builder.watch.rules`."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from builder.publish import TAG_DIGEST, TAG_PUBLISHED_AT, TAG_RELEASE
from builder.sources.version import utc_text
from builder.watch import rules
from builder.watch.memory import load, save
from builder.watch.ports import EventPort, RegistryPort, Shipped, WorkshopPort
from builder.watch.rules import Build, GiveUp, Memory, Seen, Status, Wait
from edge_agent.errors import (
    BundleError,
    ConfigError,
    ModelError,
    OutpostError,
    RegistryError,
    SourceError,
    UsageError,
)

TAG_STATUS = "outpost.status"
TAG_STATUS_AT = "outpost.status_at"
TAG_ERROR = "outpost.error"
TAG_LINK = "outpost.link"
FINAL = (ModelError, SourceError, UsageError, BundleError, ConfigError)
"""Errors that the same version gives every time; all others may pass."""

_MOST_REASON = 1000


@dataclass(frozen=True)
class Plan:
    """What is watched, and how often.

    Attributes:
        name: of the registered model.
        poll_s: seconds between looks while nothing happens.
    """

    name: str
    poll_s: float = 60.0


class Watcher:
    """Turns promotions of one model into releases. One instance per memory file.

    Args:
        plan: what to watch.
        registry, workshop: see `builder.watch.ports`.
        memory: file that survives restarts.
        tell: hears the events.
        clock: seconds since the epoch.
        chance: random numbers in [0, 1).
    """

    def __init__(
        self,
        plan: Plan,
        registry: RegistryPort,
        workshop: WorkshopPort,
        memory: Path,
        tell: EventPort,
        *,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.plan = plan
        self.exit_code = 0
        self._registry = registry
        self._workshop = workshop
        self._path = memory
        self._tell = tell
        self._clock = clock
        self._chance = chance
        self.memory: Memory = load(memory)
        workshop.discard()

    def retry(self) -> None:
        """Try a version that failed once more."""
        self._remember(rules.forgotten(self.memory))

    def step(self) -> float:
        """Look once and do what is to be done; seconds to wait before the next step."""
        seen = self._look()
        if not seen.error:
            self._tell_registry()
        action = rules.decide(
            self.memory, seen, self._clock(), poll_s=self.plan.poll_s, chance=self._chance()
        )
        match action:
            case Wait(seconds):
                return seconds
            case Build(version):
                self._run(version)
            case GiveUp(version):
                self._fail(version, f"given up after {self.memory.attempts} attempts: "
                           f"{self.memory.reason or 'each was cut short'}", 1)  # fmt: skip
        return 0.0

    def run_once(self) -> int:
        """Work until there is nothing to do now.

        Returns:
            0, or the exit code of the failure, of a pending retry or of the silent registry.
        """
        while not self.step():
            pass
        if self.memory.outages:
            return RegistryError.exit_code
        if self.memory.version and not self.memory.settled:
            if not self.exit_code:  # an earlier run was the one that told why
                self._event("build.waiting", version=self.memory.version, **self._waiting())
            return self.exit_code or 1
        return self.exit_code

    def _look(self) -> Seen:
        before = self.memory
        try:
            seen = Seen(self._registry.promoted())
        except OutpostError as error:
            seen = Seen(error=str(error))
        after = rules.looked(before, seen)
        if after != before:
            self._remember(after)
        if seen.error and not before.outages:
            self._event("registry.lost", error=seen.error)
        elif not seen.error and before.outages:
            self._event("registry.restored", looks=before.outages)
        if after.lost and not before.lost:
            self._event("alias.missing")
        return seen

    def _run(self, version: int) -> None:
        """Build and publish; every way this can end is an event and, where it is one, a tag."""
        before = self.memory
        poll_s, chance = self.plan.poll_s, self._chance()
        memory = rules.begun(before, version, self._clock(), poll_s=poll_s, chance=chance)
        self._remember(memory)
        try:
            shipped = self._workshop.released(version) or self._make(version)
        except KeyboardInterrupt:
            self._remember(before)  # stopped on purpose: no attempt
            raise
        except FINAL as error:
            self._fail(version, str(error), error.exit_code)
        except OutpostError as error:
            self._postpone(version, str(error), error.exit_code)
        except OSError as error:
            self._postpone(version, f"{type(error).__name__}: {error}", OutpostError.exit_code)
        except Exception as error:  # a bug of ours must not become a crash loop
            self._fail(version, f"internal error, {type(error).__name__}: {error}", 70)
        else:
            if shipped is not None:
                self._publish(version, shipped)
        finally:
            self._workshop.discard()

    def _make(self, version: int) -> Shipped | None:
        """Build, look whether it is still wanted, publish; None when it is not.

        What the build has warned of (other classes) is not said again by the publication.
        """
        self._event("build.started", version=version, attempt=self.memory.attempts)
        made = self._workshop.build(version)
        for warning in made.warnings:
            self._event("build.warning", version=version, text=warning)
        newer = self._look()
        if not newer.error and newer.version != version:
            what = f"version {newer.version}" if newer.version else "nothing"
            self._settle(version, "superseded", {}, f"{what} was promoted meanwhile")
            self._event("release.superseded", version=version, by=newer.version)
            return None
        shipped = self._workshop.publish(version)
        news = tuple(one for one in shipped.warnings if one not in made.warnings)
        return replace(shipped, warnings=news)

    def _publish(self, version: int, shipped: Shipped) -> None:
        tags = {
            TAG_RELEASE: f"{self.plan.name}/{version}",
            TAG_DIGEST: shipped.digest,
            TAG_PUBLISHED_AT: utc_text(self._clock()),
            TAG_LINK: shipped.link,
        }
        for warning in shipped.warnings:
            self._event("release.warning", version=version, text=warning)
        self.exit_code = 0
        self._settle(version, "published", tags, "")
        self._event("release.published", version=version, digest=shipped.digest, link=shipped.link)

    def _fail(self, version: int, reason: str, exit_code: int) -> None:
        self.exit_code = exit_code
        self._settle(version, "failed", {}, reason)
        self._event("build.failed", version=version, error=reason)

    def _postpone(self, version: int, reason: str, exit_code: int) -> None:
        self.exit_code = exit_code
        self._remember(rules.postponed(self.memory, _line(reason)))
        self._event("build.postponed", version=version, **{**self._waiting(), "error": reason})

    def _waiting(self) -> dict[str, object]:
        """What is known of a build that has to be tried again: attempt, reason, pause."""
        return {
            "attempt": self.memory.attempts,
            "error": self.memory.reason,
            "retry_in_s": round(max(0.0, self.memory.retry_at - self._clock())),
        }

    def _settle(self, version: int, status: Status, tags: Mapping[str, str], reason: str) -> None:
        """Remember the outcome first, then tell the registry: a crash between loses nothing."""
        line = _line(reason)
        tags = {
            TAG_STATUS: status,
            TAG_STATUS_AT: utc_text(self._clock()),
            TAG_ERROR: line,
            **tags,
        }
        memory = rules.settled(self.memory, version, status, line)
        self._remember(rules.owing(memory, version, tags))
        self._tell_registry()

    def _tell_registry(self) -> None:
        for version, tags in sorted(self.memory.untagged.items()):
            try:
                self._registry.tag(version, tags)
            except OutpostError as error:
                self._event("tags.waiting", version=version, error=str(error))
                return
            self._remember(rules.told(self.memory, version))

    def _remember(self, memory: Memory) -> None:
        save(self._path, memory)
        self.memory = memory

    def _event(self, kind: str, **facts: object) -> None:
        self._tell(kind, model=self.plan.name, **facts)


def _line(text: str) -> str:
    """One bounded line, as tags hold it."""
    return " ".join(text.split())[:_MOST_REASON]
