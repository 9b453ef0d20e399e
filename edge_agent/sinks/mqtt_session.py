"""One connection to the broker, from CONNECT to its end."""

from __future__ import annotations

import logging
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_agent.metrics import COMMANDS, STATUS, topic
from edge_agent.sinks.base import Live
from edge_agent.sinks.delivery import Delivery, Limits, Refusal
from edge_agent.telemetry.broker import MQTT_5, address, expired_certificate, make_client

if TYPE_CHECKING:
    from edge_agent.sinks.mqtt import MqttSink

_TICK_S = 0.1
_GOODBYE_S = 0.4
_PROTOCOL_REFUSED = (0x01, 0x84)  # MQTT 3.1.1 and 5: unacceptable protocol version
_PACKET_TOO_LARGE = 0x95
# A broker that names one of these hangs up on us, and not on a message: shutting down, busy, keep
# alive, another client with our id, receive maximum, rate, quota, administrator, other server, time
_NO_MESSAGE_S_FAULT = frozenset((0x89, 0x8B, 0x8D, 0x8E, 0x93, 0x96, 0x97, 0x98, 0x9C, 0x9D, 0xA0))
_STATES = 4  # messages on their way beside the outbox: status, info, reported
_ENVELOPE_BYTES = 64  # of a PUBLISH beside topic and payload, at most
_PASSING_EXPIRY_S = 30  # of what is worth sending only now
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ending:
    """How a connection ended.

    Attributes:
        state: for `MqttSink.state`.
        welcome: whether the broker had accepted us, and for a while.
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

    def __init__(self, sink: MqttSink, delivery: Delivery, limits: Limits, protocol: int) -> None:
        self._sink = sink
        self._delivery = delivery
        self._limits = limits
        self._protocol = protocol
        self._client = make_client(sink.mqtt, f"outpost-{sink.device}", protocol)
        self._client.max_inflight_messages_set(limits.in_flight)
        self._client.on_connect = self._on_connect
        self._client.on_publish = self._on_publish
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._client.on_subscribe = self._on_subscribe
        self._shown: dict[int, str] = {}
        self._denied: dict[str, str] = {}
        self._connected_at: float | None = None
        self._refusal: Ending | None = None
        self._reason = ""
        self._too_large = self._timed_out = self._innocent = False

    def run(self) -> Ending:
        """Stay connected until the connection ends or the sink stops."""
        host, port = address(self._sink.mqtt)
        will = self._sink.status("offline", "connection lost")
        self._client.will_set(self._topic(STATUS), will, qos=1, retain=True)
        try:
            self._client.connect(host, port, self._sink.mqtt.keepalive_s)
            return self._stay()
        except ssl.SSLError as error:
            return Ending(f"tls: {getattr(error, 'verify_message', '') or error.reason or error}")
        except TimeoutError:
            return Ending("no answer: the connection was not made in time")
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
        deadline = time.monotonic() + self._limits.answer_s
        while True:
            result = self._client.loop(_TICK_S)
            self._delivery.settle()
            if self._refusal is not None:
                return self._refusal
            if result != 0:
                return self._lost()
            if self._sink.stopping.is_set():
                return self._goodbye()
            if self._connected_at is not None:
                self._send()
                if self._delivery.unanswered_s > self._limits.unanswered_s:
                    return self._end(f"no answer: {self._limits.unanswered_s:g} s after a message")
            elif time.monotonic() > deadline:
                # A 3.1.1 broker may take MQTT 5's CONNECT for an unfinished one and wait for more.
                why = f"no answer: {self._limits.answer_s:g} s after CONNECT"
                return Ending(why, protocol_in_doubt=True)

    def _lost(self) -> Ending:
        if self._connected_at is None:
            expired = expired_certificate(self._sink.mqtt)
            if expired:
                return Ending(f"tls: {expired}")
            # Old brokers hang up on a protocol version that they do not know.
            return Ending("refused: hung up before an answer", protocol_in_doubt=True)
        if self._timed_out:
            return self._end(f"half-open: nothing heard for {self._sink.mqtt.keepalive_s} s")
        if not self._innocent:
            self._delivery.hung_up(too_large=self._too_large)
        return self._end(f"lost: {self._reason or 'the connection broke'}")

    def _end(self, state: str) -> Ending:
        lasted_s = time.monotonic() - (self._connected_at or 0.0)
        return Ending(state, welcome=lasted_s >= self._limits.stable_s)

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, code: Any, props: Any) -> None:
        if code.is_failure:
            doubt = code.value in _PROTOCOL_REFUSED
            self._refusal = Ending(f"refused: {str(code).lower()}", protocol_in_doubt=doubt)
            return
        self._connected_at = time.monotonic()
        window = int(getattr(props, "ReceiveMaximum", 0)) if props is not None else 0
        largest = int(getattr(props, "MaximumPacketSize", 0)) if props is not None else 0
        if largest:
            largest = max(1, largest - len(self._topic("x" * 64)) - _ENVELOPE_BYTES)
        # paho holds back what is more than it was told before; a smaller wish is ours to keep.
        if window and window < self._limits.in_flight:
            window = max(1, window - _STATES)
        self._delivery.begin(window, largest)
        self._tell_state()
        self._show(STATUS, self._sink.status("online", "connected"))
        if self._sink.hooks.obey is not None:
            self._client.subscribe(self._topic(f"{COMMANDS}/+"), qos=1)
        for path, payload in self._sink.hooks.announcements:
            self._shown[self._client.publish(path, payload, qos=1, retain=True).mid] = path
        self._publish_live(self._sink.take_live(everything=True))

    def _on_publish(self, _client: Any, _data: Any, mid: int, code: Any, _props: Any) -> None:
        refusal = Refusal(code.value, str(code).lower()) if code.is_failure else None
        if (shown := self._shown.pop(mid, None)) is None:
            self._delivery.answered(mid, refusal)
        elif refusal is not None:
            self._denied[shown] = refusal.words
        else:
            self._denied.pop(shown, None)
        self._tell_state()

    def _tell_state(self) -> None:
        denied = next((f"denied: {why}: {what}" for what, why in self._denied.items()), "")
        self._sink.set_state(self._delivery.trouble or denied or "connected")

    def _show(self, suffix: str, payload: bytes) -> None:
        """Publish a retained state; whether the broker takes it is heard in `_on_publish`."""
        info = self._client.publish(self._topic(suffix), payload, qos=1, retain=True)
        self._shown[info.mid] = suffix

    def _on_disconnect(self, _client: Any, _data: Any, flags: Any, code: Any, _props: Any) -> None:
        self._timed_out = "keep alive" in str(code).lower()
        if flags.is_disconnect_packet_from_server:
            self._reason = str(code).lower()
            self._too_large = code.value == _PACKET_TOO_LARGE
            self._innocent = code.value in _NO_MESSAGE_S_FAULT

    def _on_subscribe(self, _client: Any, _data: Any, _mid: int, codes: Any, _props: Any) -> None:
        if any(code.is_failure for code in codes):
            log.warning("mqtt: commands cannot be heard: %s; see the ACL", str(codes[0]).lower())

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        if self._sink.hooks.obey is not None:
            name = str(message.topic).rpartition("/")[2]
            self._sink.hooks.obey(name, bytes(message.payload), bool(message.retain))

    def _send(self) -> None:
        self._publish_live(self._sink.take_live())
        if self._sink.take_fresh():
            self._delivery.wake()
        for item in self._delivery.next():
            parcel = item.parcel
            expiry = None
            if parcel.priority == 0 and self._sink.hooks.expiry_s:
                expiry = self._properties(self._sink.hooks.expiry_s - item.age_s)
            info = self._client.publish(
                self._topic(parcel.suffix), parcel.payload, 1, parcel.retain, properties=expiry
            )
            self._delivery.sent(item, info.mid)
        self._tell_state()

    def _properties(self, expiry_s: float) -> Any:
        """How long the broker keeps a message for somebody who is away; MQTT 5 only."""
        if self._protocol != MQTT_5:
            return None
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        properties: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.MessageExpiryInterval = max(1, min(int(expiry_s), 0xFFFFFFFF))
        return properties

    def _publish_live(self, messages: list[Live]) -> None:
        for message in messages:
            payload = self._sink.stamp(message.payload, message.model_version)
            if message.retain:
                self._show(message.suffix, payload)
            else:
                path, passing = self._topic(message.suffix), self._properties(_PASSING_EXPIRY_S)
                self._client.publish(path, payload, 0, False, properties=passing)

    def _goodbye(self) -> Ending:
        deadline = time.monotonic() + self._sink.stop_timeout_s
        connected = self._connected_at is not None
        while connected and time.monotonic() < deadline - _GOODBYE_S:
            self._send()
            if self._delivery.idle:
                break
            if self._client.loop(0.02) != 0:
                return Ending("stopped")
        if connected:
            farewell = self._sink.status("offline", "stopped")
            info = self._client.publish(self._topic(STATUS), farewell, qos=1, retain=True)
            while not info.is_published() and time.monotonic() < deadline:
                if self._client.loop(0.02) != 0:
                    break
            if info.is_published():
                self._delivery.settle(everything=True)
        self._client.disconnect()
        self._client.loop(0)
        return Ending("stopped", welcome=connected)

    def _topic(self, suffix: str) -> str:
        return topic(self._sink.device, suffix)
