"""Who goes to the disk for the agent, so that nobody who has frames to judge waits there.

Flash that collects its garbage stalls for seconds, a network file system may be away for hours; a
thread inside such a call can neither be woken nor ended. `Clerk` is one thread that does all of
this in order. Every errand has a name, and one that waits is replaced by a newer one of its name:
so what waits is bounded by the number of names, however long the disk is away, and what is
written afterwards is the newest.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from edge_agent.metrics import Message, event

STALL_S = 2.0
"""An errand that takes longer is a stall: a sound disk needs milliseconds."""
ERRANDS_MOST = 256
_STALLS_KEPT = 16
log = logging.getLogger(__name__)

Errand = Callable[[], None]
"""Goes to the disk; says itself what went wrong there."""


class Disk(Protocol):
    """Does errands at the disk."""

    def do(self, name: str, errand: Errand) -> bool:
        """Line an errand up, behind all others; one of its name that waits is forgotten.

        Returns:
            False when too many wait: it will not be done.
        """
        ...

    def settle(self, timeout_s: float) -> bool:
        """Wait until everything is done that was lined up; False when it took too long."""
        ...


class AtOnce:
    """A disk that one waits for: of tools and tests, which have no frames to judge."""

    def do(self, name: str, errand: Errand) -> bool:
        """Do it now."""
        errand()
        return True

    def settle(self, timeout_s: float) -> bool:
        """Nothing waits."""
        return True


class Clerk:
    """Does errands in a daemon thread of its own.

    Args:
        place: what it goes to, for the thread's name and for people: ``data``, ``run``.
        clock: seconds that never step.
    """

    def __init__(self, place: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.place = place
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: dict[str, Errand] = {}
        self._since: float | None = None
        self._stalls: deque[float] = deque(maxlen=_STALLS_KEPT)
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"disk-{place}", daemon=True)
        self._thread.start()

    @property
    def busy_s(self) -> float:
        """For how long the present errand has been going on, in seconds; 0 without one."""
        since = self._since
        return 0.0 if since is None else self._clock() - since

    @property
    def waiting(self) -> int:
        """Errands that wait behind it."""
        return len(self._waiting)

    def take_stalls(self) -> list[float]:
        """The seconds of each stall that is over, handed out once, oldest first."""
        taken = []
        while self._stalls:
            taken.append(self._stalls.popleft())
        return taken

    def do(self, name: str, errand: Errand) -> bool:
        """See `Disk.do`; returns at once."""
        with self._changed:
            known = self._waiting.pop(name, None) is not None
            if self._closing or (not known and len(self._waiting) >= ERRANDS_MOST):
                return False
            self._waiting[name] = errand
            self._changed.notify_all()
        return True

    def settle(self, timeout_s: float) -> bool:
        """See `Disk.settle`."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._waiting and self._since is None, timeout_s
            )

    def close(self, timeout_s: float) -> bool:
        """Do what waits and end; False when the disk did not let it in this time."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (errand := self._next()) is not None:
            try:
                errand()
            except Exception:  # a bug of ours must not end the thread that keeps telemetry
                log.exception("an errand at the %s disk failed", self.place)

    def _next(self) -> Errand | None:
        with self._changed:
            if (spent := self.busy_s) >= STALL_S:
                self._stalls.append(spent)
            self._since = None
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._waiting or self._closing)
            if not self._waiting:
                return None
            name = next(iter(self._waiting))
            self._since = self._clock()
            return self._waiting.pop(name)


@dataclass(frozen=True)
class Clerks:
    """One per place, because one may answer while the other does not.

    Attributes:
        data: goes to the data folder.
        run: goes to the run folder, which is in memory on most devices.
    """

    data: Clerk
    run: Clerk

    @classmethod
    def start(cls) -> Clerks:
        """Both, at work."""
        return cls(Clerk("data"), Clerk("run"))


class Stalls:
    """What there is to say of disks that do not answer.

    Args:
        clerks: who goes to them; None where one waits for the disk.
    """

    def __init__(self, clerks: Clerks | None) -> None:
        self._clerks = () if clerks is None else (clerks.data, clerks.run)
        self._count = 0
        self._seconds = 0.0

    @property
    def state(self) -> str:
        """``disk stalled: …`` while one does not answer, else ""."""
        slow = [
            f"{one.place} for {one.busy_s:.0f} s" for one in self._clerks if one.busy_s >= STALL_S
        ]
        return f"disk stalled: {', '.join(slow)}" if slow else ""

    def look(self) -> list[Message]:
        """An event for each stall that is over."""
        return [
            self._over(one.place, seconds) for one in self._clerks for seconds in one.take_stalls()
        ]

    def totals(self) -> dict[str, int | float]:
        """Counters for ``up/metrics/system``."""
        return {
            "disk_stalls_total": self._count,
            "disk_stalled_seconds_total": round(self._seconds, 1),
        }

    def _over(self, place: str, seconds: float) -> Message:
        self._count += 1
        self._seconds += seconds
        text = (
            f"disk stalled: the {place} folder did not answer for {seconds:.1f} s; frames went on"
        )
        log.warning("%s", text)
        return event("disk.stalled", "warning", text, place=place, seconds=round(seconds, 1))
