"""What is on its way to the broker: which message is next, which arrived, which never will.

Bookkeeping without a connection: `edge_agent.sinks.mqtt_session` moves the bytes. The order of
the outbox is kept. Three things would break a simple queue, and are handled here:

- A broker that is killed forgets what it acknowledged and had not saved. So a message is deleted
  only some seconds after its acknowledgement (`Limits.settle_s`), and sent again when the
  connection broke in between; consumers remove the duplicate.
- A broker that always denies one topic must not hold up the others. A denied message is tried a
  few times, then set aside; after that each message of this topic has one try. As soon as the
  broker takes one, those set aside follow.
- A broker that hangs up on a message (too large under 3.1.1) would be sent it for ever. The oldest
  unanswered one is suspected, sent alone, and set aside when that ends the connection a few times.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from edge_agent.backoff import Backoff
from edge_agent.telemetry.outbox import Outbox, Waiting

SETTLE_MOST = 5000
_QUOTA_EXCEEDED = 0x97
_PACKET_TOO_LARGE = 0x95


@dataclass(frozen=True)
class Limits:
    """How patient a connection is.

    Attributes:
        in_flight: unanswered messages at a time; the broker may want fewer.
        answer_s: until the broker answers CONNECT.
        unanswered_s: until it acknowledges a message; then the connection is ended.
        settle_s: from a message's acknowledgement to its deletion.
        denied_tries: of a message that is denied, or on which the broker hangs up.
        denied_hold_s: pause after the first denial; doubles up to ten times as long.
        stable_s: a connection that lasted so long may be followed by another one at once.
    """

    in_flight: int = 20
    answer_s: float = 10.0
    unanswered_s: float = 30.0
    settle_s: float = 3.0
    denied_tries: int = 3
    denied_hold_s: float = 1.0
    stable_s: float = 10.0


@dataclass(frozen=True)
class Refusal:
    """Why the broker did not take a message: its reason code and that code in words."""

    code: int
    words: str


class Delivery:
    """Empties an outbox; used by the one thread that owns the connection.

    Args:
        outbox: what waits.
        limits: see there.
        clock: monotonic seconds.
    """

    def __init__(
        self, outbox: Outbox, limits: Limits, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._outbox = outbox
        self._limits = limits
        self._clock = clock
        self._tries: dict[int, int] = {}
        self._denied: dict[str, str] = {}
        self._note = ""
        self._suspect = 0
        self._pause = Backoff(limits.denied_hold_s, 10 * limits.denied_hold_s)
        self.begin()

    def begin(self, window: int = 0, largest: int = 0) -> None:
        """A new connection: everything that is not deleted yet is sent (again).

        Args:
            window: messages that the broker wants unanswered at most, 0 for no wish.
            largest: bytes of a payload that it takes, 0 for unknown.
        """
        self._window = min(window or self._limits.in_flight, self._limits.in_flight)
        self._largest = largest
        self._position = self._furthest = 0
        self._more = True
        self._hold_until = 0.0
        self._retry_from = 0
        self._passing = ""
        self._in_flight: dict[int, tuple[Waiting, float]] = {}
        self._settling: deque[tuple[float, int]] = deque()

    def wake(self) -> None:
        """Something new lies in the outbox."""
        self._more = True

    @property
    def trouble(self) -> str:
        """A named state with detail while not everything is taken, else ""."""
        denied = next((f"denied: {why}: {topic}" for topic, why in self._denied.items()), "")
        return self._passing or denied or self._note

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way and nothing waits."""
        return not self._in_flight and not self._more

    @property
    def unanswered_s(self) -> float:
        """For how long the oldest message on its way has not been answered, in seconds."""
        first = next(iter(self._in_flight.values()), None)
        return self._clock() - first[1] if first is not None else 0.0

    @property
    def settling(self) -> int:
        """Messages that the broker has and that are not deleted yet."""
        return len(self._settling)

    def next(self) -> list[Waiting]:
        """What is to be sent now, in order; tell with `sent` that it was."""
        if self._clock() < self._hold_until:
            return []
        if self._hold_until:
            # After a pause begin with the oldest one, so that the order is kept.
            self._look_again(self._retry_from - 1)
        free = self._window - len(self._in_flight)
        if not self._more or free <= 0 or self._suspected_on_its_way():
            return []
        return self._before_suspect(self._fitting(self._waiting(free)))

    def _look_again(self, position: int) -> None:
        self._hold_until, self._retry_from = 0.0, 0
        self._position, self._more = position, True

    def _waiting(self, free: int) -> list[Waiting]:
        """Up to so many that were not sent on this connection, or are to be sent again."""
        busy: set[int] = set()
        if self._position < self._furthest:
            busy = {item.id for item, _ in self._in_flight.values()}
            busy |= {number for _, number in self._settling}
        batch = self._outbox.waiting(free + len(busy), after=self._position)
        new = [item for item in batch if item.id not in busy]
        self._more = len(batch) == free + len(busy) or len(new) > free
        if batch and not new:
            self._position = batch[-1].id
        return new[:free]

    def _suspected_on_its_way(self) -> bool:
        return any(item.id == self._suspect for item, _ in self._in_flight.values())

    def _before_suspect(self, batch: list[Waiting]) -> list[Waiting]:
        """Up to the suspected message, or it alone when nothing else is on its way."""
        for index, item in enumerate(batch):
            if item.id == self._suspect:
                self._more = True
                return batch[:index] if index or self._in_flight else [item]
        return batch

    def _fitting(self, batch: list[Waiting]) -> list[Waiting]:
        """Without what is larger than the broker said it takes; that is set aside."""
        large = [item for item in batch if len(item.parcel.payload) > self._largest > 0]
        for item in large:
            self._more = True
            self._set_aside(item, "oversize")
        return [item for item in batch if item not in large]

    def sent(self, item: Waiting, mid: int) -> None:
        """A message went out under this packet id."""
        self._in_flight[mid] = item, self._clock()
        self._position = item.id
        self._furthest = max(self._furthest, item.id)

    def answered(self, mid: int, refusal: Refusal | None = None) -> None:
        """The broker acknowledged (no refusal) or refused a message; unknown ids are ignored."""
        known = self._in_flight.pop(mid, None)
        if known is None:
            return
        if refusal is None:
            self._taken(known[0])
        else:
            self._refused(known[0], refusal)

    def _taken(self, item: Waiting) -> None:
        self._settling.append((self._clock(), item.id))
        self._tries.pop(item.id, None)
        if item.id == self._suspect:
            self._suspect = 0
        if self._denied.pop(item.parcel.suffix, None) is not None:
            self._outbox.release(item.parcel.suffix)
            self._look_again(0)
        if not self._hold_until:
            self._pause.reset()
            self._passing = ""

    def _refused(self, item: Waiting, refusal: Refusal) -> None:
        suffix = item.parcel.suffix
        if refusal.code == _PACKET_TOO_LARGE:
            self._set_aside(item, "oversize")
            return
        if refusal.code == _QUOTA_EXCEEDED:
            self._hold(item, f"busy: {refusal.words}")
            return
        tries = self._tries[item.id] = self._tries.get(item.id, 0) + 1
        if suffix in self._denied or tries >= self._limits.denied_tries:
            self._denied[suffix] = refusal.words
            self._tries.pop(item.id)
            self._outbox.set_aside([item.id], "denied")
        else:
            self._hold(item, f"denied: {refusal.words}: {suffix}")

    def _hold(self, item: Waiting, why: str) -> None:
        self._passing = why
        self._retry_from = min(self._retry_from or item.id, item.id)
        if not self._hold_until:
            self._hold_until = self._clock() + self._pause.next_s()

    def _set_aside(self, item: Waiting, kind: str) -> None:
        self._outbox.set_aside([item.id], kind)
        size = len(item.parcel.payload)
        self._note = f"{kind}: {item.parcel.suffix} of {size} bytes is set aside"

    def settle(self, *, everything: bool = False) -> None:
        """Delete what was acknowledged long enough ago.

        Args:
            everything: do not wait any longer; for a connection that ends as we want.

        Raises:
            StorageError: the disk refuses.
        """
        limit = self._clock() - self._limits.settle_s
        ids = []
        while self._settling and (
            everything or self._settling[0][0] <= limit or len(self._settling) > SETTLE_MOST
        ):
            ids.append(self._settling.popleft()[1])
        if ids:
            self._outbox.done(ids)

    def hung_up(self, *, too_large: bool = False) -> None:
        """The broker closed the connection: suspect the oldest message that was not answered.

        Args:
            too_large: the broker said that this was the reason.
        """
        first = next(iter(self._in_flight.values()), None)
        if first is None:
            return
        item = first[0]
        alone = self._suspect == item.id and len(self._in_flight) == 1
        self._suspect = item.id
        if not alone:
            return
        tries = self._tries[item.id] = self._tries.get(item.id, 0) + 1
        if tries >= self._limits.denied_tries:
            self._tries.pop(item.id)
            self._suspect = 0
            self._set_aside(item, "oversize" if too_large else "hung-up")
