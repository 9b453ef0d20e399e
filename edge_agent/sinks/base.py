"""What a sink is: something that empties the outbox and shows the device's present state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from edge_agent.config import Config
from edge_agent.metrics import Message
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


def _nobody(message: Message, model_version: int) -> None:
    """Hears nothing."""


@dataclass(frozen=True)
class Hooks:
    """What a sink may need beside the outbox.

    Attributes:
        tell: takes an event of the sink's own and the model version it is about, at once.
        obey: takes a command: its id, its bytes, whether the broker kept it; None to hear none.
        announcements: topics (whole) and payloads that are published, retained, when connected.
        expiry_s: for how long a broker may keep metrics for somebody who is away; 0 for ever.
    """

    tell: Callable[[Message, int], None] = _nobody
    obey: Callable[[str, bytes, bool], None] | None = None
    announcements: tuple[tuple[str, bytes], ...] = ()
    expiry_s: float = 0.0


@dataclass(frozen=True)
class SinkContext:
    """What a sink is made from."""

    config: Config
    outbox: Outbox
    boot: str
    stamp: StampLive
    hooks: Hooks = Hooks()


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
