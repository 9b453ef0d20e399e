"""What to do about a promoted version: pure rules over what is remembered and what is seen.

A version is *settled* when it is published, failed or superseded; only a settled version is left
alone. A version that is under way was begun and has no outcome yet: the process died, or something
that may pass (disk, artifact store, repository) stood in the way. It is tried again with a growing
pause, `MOST_ATTEMPTS` times at most. A registry that does not answer costs no attempt, however
long that lasts, because nothing is begun without its answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

Status = Literal["", "published", "failed", "superseded"]
STATUSES: tuple[Status, ...] = ("", "published", "failed", "superseded")

MOST_ATTEMPTS = 8
MOST_PAUSE_S = 900.0
POLL_JITTER = 0.1


@dataclass(frozen=True)
class Memory:
    """What survives a restart.

    Attributes:
        version: last begun or settled; 0 before the first.
        status: its outcome; "" while it is under way.
        attempts: begun without an outcome.
        retry_at: seconds since the epoch before which it is not begun again.
        reason: of the last failure, in one line.
        outages: looks in a row that the registry did not answer.
        lost: whether the alias pointed at nothing when it was last seen.
        untagged: version -> tags that the registry has still to be told.
    """

    version: int = 0
    status: Status = ""
    attempts: int = 0
    retry_at: float = 0.0
    reason: str = ""
    outages: int = 0
    lost: bool = False
    untagged: Mapping[int, Mapping[str, str]] = field(default_factory=dict)

    @property
    def settled(self) -> bool:
        """Whether there is nothing left to do for `version`."""
        return self.status != ""


@dataclass(frozen=True)
class Seen:
    """One look at the registry: the version that is promoted, None for none; or why not."""

    version: int | None = None
    error: str = ""


@dataclass(frozen=True)
class Wait:
    """Nothing to do now; look again in about so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Build:
    """Build and publish this version."""

    version: int


@dataclass(frozen=True)
class GiveUp:
    """Settle this version as failed: it was tried often enough."""

    version: int


Action = Wait | Build | GiveUp


def decide(
    memory: Memory, seen: Seen, now: float, *, poll_s: float = 60.0, chance: float = 0.5
) -> Action:
    """The next step.

    Args:
        memory: after `looked`.
        seen: by the look that `memory` knows of already.
        now: seconds since the epoch.
        poll_s: seconds between looks while nothing happens.
        chance: a random number in [0, 1), so that many watchers do not look in step.
    """
    if seen.error:
        return Wait(backoff_s(memory.outages, poll_s, chance))
    rest = Wait(poll_s * (1 + POLL_JITTER * (2 * chance - 1)))
    if seen.version is None:
        return rest
    if seen.version != memory.version:
        return Build(seen.version)
    if memory.settled:
        return rest
    if memory.attempts >= MOST_ATTEMPTS:
        return GiveUp(seen.version)
    if now < memory.retry_at <= now + MOST_PAUSE_S:  # a clock that was set back ends no wait
        return Wait(min(rest.seconds, memory.retry_at - now))
    return Build(seen.version)


def backoff_s(failures: int, base_s: float, chance: float) -> float:
    """A pause that doubles with each failure up to `MOST_PAUSE_S`, of which half is chance."""
    most = max(base_s, MOST_PAUSE_S)
    span = min(most, base_s * 2.0 ** min(max(failures - 1, 0), 30))
    return span * (0.5 + chance / 2)


def looked(memory: Memory, seen: Seen) -> Memory:
    """The memory after a look."""
    if seen.error:
        return replace(memory, outages=memory.outages + 1)
    return replace(memory, outages=0, lost=seen.version is None)


def begun(memory: Memory, version: int, now: float, *, poll_s: float, chance: float) -> Memory:
    """The memory before a build; written first, so that a crash counts as an attempt."""
    attempts = memory.attempts + 1 if version == memory.version and not memory.settled else 1
    pause = backoff_s(attempts, poll_s, chance)
    return replace(
        memory, version=version, status="", attempts=attempts, retry_at=now + pause, reason=""
    )


def postponed(memory: Memory, reason: str) -> Memory:
    """The memory after something that may pass: the pause of `begun` holds."""
    return replace(memory, reason=reason)


def settled(memory: Memory, version: int, status: Status, reason: str = "") -> Memory:
    """The memory after an outcome."""
    return replace(memory, version=version, status=status, attempts=0, retry_at=0.0, reason=reason)


def forgotten(memory: Memory) -> Memory:
    """The memory when a person wants a failed version to be tried once more."""
    if memory.settled and memory.status != "failed":
        return memory
    return replace(memory, version=0, status="", attempts=0, retry_at=0.0, reason="")


def told(memory: Memory, version: int) -> Memory:
    """The memory after the registry took a version's tags."""
    left = {number: tags for number, tags in memory.untagged.items() if number != version}
    return replace(memory, untagged=left)


def owing(memory: Memory, version: int, tags: Mapping[str, str]) -> Memory:
    """The memory when the registry has to be told these tags; newer ones replace older ones."""
    return replace(memory, untagged={**memory.untagged, version: dict(tags)})
