"""Telemetry over MQTT: MQTT 5, or 3.1.1 when the broker has no more.

The outbox is drained in order with few messages unanswered at a time; a message is deleted only
when the broker answered with success (`edge_agent.sinks.delivery`). Under 3.1.1 a publish that the
broker's ACL denied is answered like any other: `edge-agent doctor` finds that by a round trip.

Everything happens in one thread of its own, with one paho client per connection, so no state of a
lost connection is carried into the next. Whatever goes wrong in it ends one connection, never the
thread.
"""

from __future__ import annotations

import logging
import threading
from collections import deque

from edge_agent.backoff import Backoff
from edge_agent.config import Mqtt
from edge_agent.errors import BrokerError, OutpostError
from edge_agent.metrics import event
from edge_agent.sinks.base import Hooks, Live, SinkContext, StampLive
from edge_agent.sinks.delivery import Delivery, Limits
from edge_agent.sinks.mqtt_session import Ending, Session
from edge_agent.telemetry.broker import MQTT_3_1_1, MQTT_5
from edge_agent.telemetry.outbox import Outbox

PASSING_MOST = 64
FIRST_DELAY_S = 0.5
MOST_DELAY_S = 60.0
log = logging.getLogger(__name__)


class MqttSink:
    """Keeps one connection to the broker and empties the outbox into it.

    States: ``starting``, ``connecting``, ``connected``, ``stopped``; not connected:
    ``unreachable: …``, ``tls: …`` (certificates), ``no answer: …`` (to CONNECT, or to a message),
    ``refused: …``, ``half-open: …`` (the connection stands and nothing comes through),
    ``lost: …``, ``misconfigured: …``, ``failed: …`` (a bug; it tries again); connected, but not
    everything is taken: ``denied: …``, ``oversize: …``, ``hung-up: …``, ``busy: …``.
    """

    def __init__(
        self,
        mqtt: Mqtt,
        device: str,
        outbox: Outbox,
        stamp: StampLive,
        backoff: Backoff,
        protocol: int = MQTT_5,
        *,
        limits: Limits | None = None,
        hooks: Hooks | None = None,
    ) -> None:
        self.mqtt = mqtt
        self.device = device
        self.outbox = outbox
        self.stamp = stamp
        self.stopping = threading.Event()
        self.stop_timeout_s = 0.0
        self.hooks = hooks or Hooks()
        self._limits = limits or Limits()
        self._delivery = Delivery(outbox, self._limits)
        self._told = ""
        self._backoff = backoff
        self._state = self._logged = "starting"
        self._protocol = protocol
        self._fresh = threading.Event()
        self._lock = threading.Lock()
        self._retained: dict[str, Live] = {}
        self._changed: dict[str, Live] = {}
        self._passing: deque[Live] = deque(maxlen=PASSING_MOST)
        self._thread = threading.Thread(target=self._run, name="sink-mqtt", daemon=True)

    @property
    def state(self) -> str:
        """The named state, with detail after a colon."""
        return self._state

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Something new lies in the outbox."""
        self._fresh.set()

    def live(self, message: Live) -> None:
        """Send now, past the outbox; a retained one is shown again after each reconnection."""
        with self._lock:
            if message.retain:
                self._retained[message.suffix] = self._changed[message.suffix] = message
            else:
                self._passing.append(message)

    def close(self, timeout_s: float) -> None:
        """Drain for at most this long, publish ``offline``, disconnect, end the thread."""
        self.stop_timeout_s = timeout_s
        self.stopping.set()
        self._thread.join(timeout_s + 0.3)

    def set_state(self, state: str) -> None:
        """Note a state; a change is logged, but not every attempt at what went wrong before."""
        self._state = state
        if state in ("connecting", self._logged):
            return
        self._logged = state
        calm = state in ("connected", "stopped")
        log.log(logging.INFO if calm else logging.WARNING, "mqtt %s: %s", self.mqtt.url, state)

    def take_fresh(self) -> bool:
        """Whether `wake` was called since the last time."""
        fresh = self._fresh.is_set()
        self._fresh.clear()
        return fresh

    def take_live(self, *, everything: bool = False) -> list[Live]:
        """What is to be sent past the outbox; all retained states when the connection is new."""
        with self._lock:
            states = list((self._retained if everything else self._changed).values())
            passing = list(self._passing)
            self._changed.clear()
            self._passing.clear()
        return states + passing

    def status(self, state: str, reason: str) -> bytes:
        """The payload of ``up/status``."""
        return self.stamp({"state": state, "reason": reason}, 0)

    def _run(self) -> None:
        while not self.stopping.is_set():
            self.set_state("connecting")
            ending = self._connect_once()
            if ending.welcome:
                self._backoff.reset()
            self.set_state(ending.state)
            if self.stopping.is_set() or self._try_other_protocol(ending):
                continue
            self.stopping.wait(self._backoff.next_s())
        self.set_state("stopped")

    def _connect_once(self) -> Ending:
        try:
            return Session(self, self._delivery, self._limits, self._protocol).run()
        except BrokerError as error:
            return Ending(f"misconfigured: {error}")
        except OutpostError as error:  # the outbox cannot be read: try again later
            return Ending(f"lost: {error}")
        except Exception as error:  # a bug, here or in the client: telemetry must not end with it
            return self._failed(error)

    def _failed(self, error: Exception) -> Ending:
        text = f"{type(error).__name__}: {error}"
        if text != self._told:
            self._told = text
            log.exception("mqtt: unexpected; connecting again")
            self.hooks.tell(event("telemetry.failed", "error", f"the MQTT connection: {text}"), 0)
        return Ending(f"failed: {text}")

    def _try_other_protocol(self, ending: Ending) -> bool:
        """Whether to try again at once with the other protocol version; back and forth at most."""
        if not ending.protocol_in_doubt:
            return False
        was = self._protocol
        self._protocol = MQTT_3_1_1 if was == MQTT_5 else MQTT_5
        return was == MQTT_5


def make(argument: str, context: SinkContext) -> MqttSink:
    """The sink of the ``[mqtt]`` section.

    Raises:
        BrokerError: when there is no such section.
    """
    config = context.config
    if config.mqtt is None:
        raise BrokerError(f"{config.path}: telemetry by mqtt needs a [mqtt] section with url")
    backoff = Backoff(FIRST_DELAY_S, MOST_DELAY_S)
    device, hooks = config.device.id, context.hooks
    return MqttSink(config.mqtt, device, context.outbox, context.stamp, backoff, hooks=hooks)
