"""The agent's voice: stamps messages, keeps the durable ones in the outbox, wakes the sink."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from edge_agent.errors import StorageError
from edge_agent.metrics import Message, Stamper
from edge_agent.sinks.base import Live, Sink
from edge_agent.telemetry.outbox import Life, Outbox, Parcel

log = logging.getLogger(__name__)


class Telemetry:
    """Sends messages; never raises because of a full disk, but counts what was lost.

    Args:
        outbox: where durable messages wait.
        boot: identity of this agent process.
        clock: wall-clock seconds.
        listeners: hear each message that is sent, at once and in order; they raise nothing.
    """

    def __init__(
        self,
        outbox: Outbox,
        boot: str,
        clock: Callable[[], float] = time.time,
        listeners: Sequence[Callable[[Message], None]] = (),
    ) -> None:
        self.boot = boot
        self.lost = 0
        self._outbox = outbox
        self._sink: Sink | None = None
        self._clock = clock
        self._listeners = tuple(listeners)
        self._lock = threading.Lock()
        self._stamper = Stamper(boot)
        self._live_stamper = Stamper(boot, step=-1)

    def listen(self, listener: Callable[[Message], None]) -> None:
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
        with self._lock:
            return self._live_stamper.stamp(payload, ts=self._clock(), model_version=model_version)

    def send(
        self,
        messages: Iterable[Message],
        *,
        model_version: int = 0,
        cursor: tuple[str, int] | None = None,
    ) -> bool:
        """Send messages in order.

        Args:
            messages: durable ones go through the outbox, the others to the sink at once.
            model_version: for the envelope.
            cursor: remembered in the same transaction as the durable ones.

        Returns:
            Whether the durable ones are kept; False when the disk refused (then they are lost,
            unless the caller sends them again, as it does with a cursor that did not move).
        """
        durable = []
        for message in messages:
            for listener in self._listeners:
                listener(message)
            if message.durable:
                durable.append(message)
            elif self._sink is not None:
                self._sink.live(
                    Live(message.suffix, message.payload, model_version, message.retain)
                )
        if not durable:
            return True
        return self._keep(durable, model_version, cursor)

    def say(self, message: Message) -> None:
        """Send one message, as `send` does."""
        self.send([message])

    def _keep(
        self, messages: list[Message], model_version: int, cursor: tuple[str, int] | None
    ) -> bool:
        with self._lock:
            before = self._stamper.seq
            parcels = [self._parcel(message, model_version) for message in messages]
            try:
                self._outbox.put(parcels, cursor=cursor, life=Life(self.boot, self._stamper.seq))
            except StorageError as error:
                # The numbers were never seen by anyone: use them again, so that no gap shows.
                self._stamper.seq = before
                self._report_loss(error, len(parcels))
                return False
        if self._sink is not None:
            self._sink.wake()
        return True

    def _parcel(self, message: Message, model_version: int) -> Parcel:
        payload = self._stamper.stamp(
            message.payload, ts=self._clock(), model_version=model_version
        )
        return Parcel(message.suffix, payload, message.retain, message.priority)

    def _report_loss(self, error: StorageError, count: int) -> None:
        if self.lost == 0:
            log.error("telemetry is lost: %s", error)
        self.lost += count

    def close(self, timeout_s: float) -> None:
        """Give the sink this long to send and to say goodbye."""
        if self._sink is not None:
            self._sink.close(timeout_s)
