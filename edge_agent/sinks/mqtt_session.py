"""One connection to the broker, from CONNECT to its end."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_agent.metrics import STATUS, topic
from edge_agent.sinks.base import Live
from edge_agent.telemetry.broker import address, make_client

if TYPE_CHECKING:
    from edge_agent.sinks.mqtt import MqttSink

IN_FLIGHT = 20
ANSWER_S = 10.0
DENIED_HOLD_S = 30.0
_TICK_S = 0.1
_GOODBYE_S = 0.4
_PROTOCOL_REFUSED = (0x01, 0x84)  # MQTT 3.1.1 and 5: unacceptable protocol version


@dataclass(frozen=True)
class Ending:
    """How a connection ended.

    Attributes:
        state: for `MqttSink.state`.
        welcome: whether the broker had accepted us.
        protocol_in_doubt: whether it may have been the protocol version that it did not like.
    """

    state: str
    welcome: bool = False
    protocol_in_doubt: bool = False


class Session:
    """Connect, say hello, send what waits, say goodbye.

    Raises:
        BrokerError: when the client cannot be set up.
    """

    def __init__(self, sink: MqttSink, protocol: int) -> None:
        self._sink = sink
        self._protocol = protocol
        self._client = make_client(sink.mqtt, f"outpost-{sink.device}", protocol)
        self._client.on_connect = self._on_connect
        self._client.on_publish = self._on_publish
        self._connected = False
        self._refusal: Ending | None = None
        self._in_flight: dict[int, int] = {}
        self._done: list[int] = []
        self._position = 0
        self._hold_until = 0.0
        self._more = True

    def run(self) -> Ending:
        """Stay connected until the connection ends or the sink stops."""
        host, port = address(self._sink.mqtt)
        will = self._sink.status("offline", "connection lost")
        self._client.will_set(self._topic(STATUS), will, qos=1, retain=True)
        try:
            self._client.connect(host, port, self._sink.mqtt.keepalive_s)
            return self._stay()
        except ssl.SSLError as error:
            return Ending(f"tls: {error.reason or error}")
        except (OSError, ValueError) as error:
            return Ending(f"unreachable: {getattr(error, 'strerror', None) or error}")
        finally:
            self._hang_up()

    def _hang_up(self) -> None:
        """Close the socket without DISCONNECT, so that the broker publishes the last will."""
        connection = self._client.socket()
        if connection is not None:
            connection.close()

    def _stay(self) -> Ending:
        deadline = time.monotonic() + ANSWER_S
        while True:
            result = self._client.loop(_TICK_S)
            self._forget_done()
            if self._refusal is not None:
                return self._refusal
            if result != 0:
                return self._lost()
            if self._sink.stopping.is_set():
                return self._goodbye()
            if self._connected:
                self._send()
            elif time.monotonic() > deadline:
                # A 3.1.1 broker may take MQTT 5's CONNECT for an unfinished one and wait for more.
                return Ending(f"no answer: {ANSWER_S:.0f} s after CONNECT", protocol_in_doubt=True)

    def _lost(self) -> Ending:
        if self._connected:
            return Ending("lost: the connection broke", welcome=True)
        # Old brokers hang up on a protocol version that they do not know.
        return Ending("refused: hung up before an answer", protocol_in_doubt=True)

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, code: Any, _props: Any) -> None:
        if code.is_failure:
            doubt = code.value in _PROTOCOL_REFUSED
            self._refusal = Ending(f"refused: {str(code).lower()}", protocol_in_doubt=doubt)
            return
        self._connected = True
        self._sink.set_state("connected")
        hello = self._sink.status("online", "connected")
        self._client.publish(self._topic(STATUS), hello, qos=1, retain=True)
        self._publish_live(self._sink.take_live(everything=True))

    def _on_publish(self, _client: Any, _data: Any, mid: int, code: Any, _props: Any) -> None:
        message = self._in_flight.pop(mid, None)
        if code.is_failure:
            self._sink.set_state(f"denied: {str(code).lower()}")
            self._hold_until = time.monotonic() + DENIED_HOLD_S
        elif message is not None:
            self._done.append(message)
            self._sink.set_state("connected")

    def _forget_done(self) -> None:
        if self._done:
            self._sink.outbox.done(self._done)
            self._done.clear()

    def _send(self) -> None:
        self._publish_live(self._sink.take_live())
        if time.monotonic() < self._hold_until:
            return
        if self._hold_until:
            # After a refusal begin again with the oldest one, so that the order is kept.
            self._hold_until, self._position, self._more = 0.0, 0, True
            self._in_flight.clear()
        if self._sink.take_fresh():
            self._more = True
        if self._more and len(self._in_flight) < IN_FLIGHT:
            self._publish_waiting(IN_FLIGHT - len(self._in_flight))

    def _publish_waiting(self, limit: int) -> None:
        batch = self._sink.outbox.waiting(limit, after=self._position)
        self._more = len(batch) == limit
        for item in batch:
            info = self._client.publish(
                self._topic(item.parcel.suffix), item.parcel.payload, 1, item.parcel.retain
            )
            self._in_flight[info.mid] = item.id
            self._position = item.id

    def _publish_live(self, messages: list[Live]) -> None:
        for message in messages:
            payload = self._sink.stamp(message.payload, message.model_version)
            qos = 1 if message.retain else 0
            self._client.publish(self._topic(message.suffix), payload, qos, message.retain)

    def _goodbye(self) -> Ending:
        deadline = time.monotonic() + self._sink.stop_timeout_s
        while self._connected and time.monotonic() < deadline - _GOODBYE_S:
            self._send()
            if not self._in_flight and not self._more:
                break
            if self._client.loop(0.02) != 0:
                return Ending("stopped")
            self._forget_done()
        if self._connected:
            farewell = self._sink.status("offline", "stopped")
            info = self._client.publish(self._topic(STATUS), farewell, qos=1, retain=True)
            while not info.is_published() and time.monotonic() < deadline:
                if self._client.loop(0.02) != 0:
                    break
        self._forget_done()
        self._client.disconnect()
        self._client.loop(0)
        return Ending("stopped", welcome=self._connected)

    def _topic(self, suffix: str) -> str:
        return topic(self._sink.device, suffix)
