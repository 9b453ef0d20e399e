"""What a sink is: something that empties the outbox and shows the device's present state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from edge_agent.config import Config
from edge_agent.telemetry.outbox import Outbox

# (fields, model version) -> bytes with the envelope, for what does not go through the outbox
StampLive = Callable[[Mapping[str, Any], int], bytes]


@dataclass(frozen=True)
class Live:
    """A message that is worth sending only now.

    Attributes:
        suffix: topic below the device.
        payload: fields without the envelope.
        model_version: for the envelope, 0 for none.
        retain: a state: the newest is shown again after each reconnection. Otherwise a passing
            remark, lost when nobody listens.
    """

    suffix: str
    payload: Mapping[str, Any]
    model_version: int = 0
    retain: bool = False


@dataclass(frozen=True)
class SinkContext:
    """What a sink is made from."""

    config: Config
    outbox: Outbox
    boot: str
    stamp: StampLive


class Sink(Protocol):
    """Takes messages out of the outbox, in order, and deletes what has arrived.

    Nothing here blocks: the work is done in the sink's own thread.
    """

    @property
    def state(self) -> str:
        """A named state with detail, e.g. ``connected`` or ``refused: not authorized``."""

    def start(self) -> None:
        """Begin."""

    def wake(self) -> None:
        """Something new lies in the outbox."""

    def live(self, message: Live) -> None:
        """Send now, past the outbox."""

    def close(self, timeout_s: float) -> None:
        """Send what can still be sent in this time, say goodbye, end the thread."""
