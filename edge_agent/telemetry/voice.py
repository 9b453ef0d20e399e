"""The agent's voice: stamps messages, keeps the durable ones in the outbox, wakes the sink.

Sending never waits for the disk: what is durable is lined up and written by whoever goes to the
disk (`edge_agent.clerk`). A message gets its number when it is written, in one transaction with it,
so numbers have no gaps whatever the disk refused, and their order is that in which it was sent.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_agent.clerk import AtOnce, Disk
from edge_agent.errors import StorageError
from edge_agent.metrics import Message, Stamper
from edge_agent.sinks.base import Live, Sink
from edge_agent.telemetry.outbox import Life, Outbox, Parcel

WAITING_MOST = 1000
"""Messages that wait for a disk that does not answer: a quarter of an hour of windows and more."""
_TOGETHER = 200
log = logging.getLogger(__name__)

Listener = Callable[[Message, int], None]
"""Hears a message and the model version that it is about; raises nothing."""


@dataclass(frozen=True)
class _Said:
    """A durable message as it was sent, not numbered yet."""

    message: Message
    model_version: int
    at: float


class Telemetry:
    """Sends messages; neither waits for a disk nor raises because of one, but counts what was lost.

    Args:
        outbox: where durable messages wait.
        boot: identity of this agent process.
        clock: wall-clock seconds.
        listeners: hear each message that is sent, at once and in order; they raise nothing.
        disk: who writes the outbox.

    Attributes:
        lost: durable messages of this run that were not kept: the disk refused, or did not answer
            for so long that no more could wait.
    """

    def __init__(
        self,
        outbox: Outbox,
        boot: str,
        clock: Callable[[], float] = time.time,
        listeners: Sequence[Listener] = (),
        *,
        disk: Disk | None = None,
    ) -> None:
        self.boot = boot
        self.lost = 0
        self._outbox = outbox
        self._disk = disk or AtOnce()
        self._sink: Sink | None = None
        self._clock = clock
        self._listeners = tuple(listeners)
        self._hearing = threading.Lock()
        self._line = threading.Lock()
        self._said: deque[_Said] = deque()
        self._writing = threading.Lock()
        self._stamper = Stamper(boot)
        self._living = threading.Lock()
        self._live_stamper = Stamper(boot, step=-1)

    def listen(self, listener: Listener) -> None:
        """One more listener, made when others already were."""
        self._listeners = (*self._listeners, listener)

    def attach(self, sink: Sink) -> None:
        """Give the voice to a sink and start it."""
        self._sink = sink
        sink.start()

    @property
    def state(self) -> str:
        """The sink's named state."""
        return self._sink.state if self._sink is not None else "none"

    def stamp_live(self, payload: Mapping[str, Any], model_version: int) -> bytes:
        """The bytes of a message that does not go through the outbox."""
        with self._living:
            return self._live_stamper.stamp(payload, ts=self._clock(), model_version=model_version)

    @property
    def waiting(self) -> int:
        """Durable messages that are not in the outbox yet."""
        return len(self._said)

    def send(self, messages: Iterable[Message], *, model_version: int = 0) -> None:
        """Send messages in order; returns at once.

        Args:
            messages: durable ones are lined up for the outbox, the others go to the sink at once.
            model_version: for the envelope.
        """
        durable = self._pass_on(messages, model_version)
        if durable:
            with self._line:
                self._said += durable
                self._bound()
            self._disk.do("telemetry", self._write)

    def say(self, message: Message) -> None:
        """Send one message, as `send` does."""
        self.send([message])

    def remind(self, message: Message, model_version: int) -> None:
        """Let the listeners hear what was sent in an earlier life; nothing is sent."""
        with self._hearing:
            for listener in self._listeners:
                listener(message, model_version)

    def commit(
        self, messages: Iterable[Message], *, cursor: tuple[str, int], model_version: int = 0
    ) -> bool:
        """Send messages and remember a cursor in the same transaction; waits for the disk.

        Call it from the thread that goes there.

        Returns:
            Whether the durable ones are kept; False when the disk refused, and the cursor did not
            move: send them again.
        """
        durable = self._pass_on(messages, model_version)
        self._write()
        with self._writing:
            return self._keep(durable, cursor)

    def _pass_on(self, messages: Iterable[Message], model_version: int) -> list[_Said]:
        """Tell the listeners and the sink; the durable ones, with the time at which it was said."""
        durable = []
        with self._hearing:
            for message in messages:
                for listener in self._listeners:
                    listener(message, model_version)
                if message.durable:
                    durable.append(_Said(message, model_version, self._clock()))
                elif self._sink is not None:
                    self._sink.live(
                        Live(message.suffix, message.payload, model_version, message.retain)
                    )
        return durable

    def _bound(self) -> None:
        """Let go of what is too much: the oldest metrics first, as the outbox does."""
        while len(self._said) > WAITING_MOST:
            metrics = (place for place, one in enumerate(self._said) if not one.message.priority)
            del self._said[next(metrics, 0)]
            self._report_loss("the disk does not answer", 1)

    def _write(self) -> None:
        """Bring into the outbox what was said, a few transactions at most."""
        with self._writing:
            while batch := self._take():
                self._keep(batch, None)

    def _take(self) -> list[_Said]:
        with self._line:
            return [self._said.popleft() for _ in range(min(_TOGETHER, len(self._said)))]

    def _keep(self, batch: Sequence[_Said], cursor: tuple[str, int] | None) -> bool:
        before = self._stamper.seq
        parcels = [parcel for said in batch if (parcel := self._parcel(said)) is not None]
        try:
            self._outbox.put(parcels, cursor=cursor, life=Life(self.boot, self._stamper.seq))
        except StorageError as error:
            # The numbers were never seen by anyone: use them again, so that no gap shows.
            self._stamper.seq = before
            with self._line:
                self._report_loss(str(error), len(parcels))
            return False
        if self._sink is not None:
            self._sink.wake()
        return True

    def _parcel(self, said: _Said) -> Parcel | None:
        """The message with its number; None for one that JSON does not know, which is a bug."""
        message, before = said.message, self._stamper.seq
        try:
            payload = self._stamper.stamp(
                message.payload, ts=said.at, model_version=said.model_version
            )
        except (TypeError, ValueError) as error:  # it must not take the others with it
            self._stamper.seq = before
            with self._line:
                self._report_loss(f"{message.suffix}: {error}", 1)
            return None
        return Parcel(message.suffix, payload, message.retain, message.priority)

    def _report_loss(self, why: str, count: int) -> None:
        if self.lost == 0:
            log.error("telemetry is lost: %s", why)
        self.lost += count

    def close(self, timeout_s: float) -> None:
        """Give the disk, then the sink this long, together, to keep and to send what waits."""
        deadline = time.monotonic() + timeout_s
        self._disk.settle(timeout_s / 2)
        if self._sink is not None:
            self._sink.close(max(0.0, deadline - time.monotonic()))
