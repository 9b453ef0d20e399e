"""The doctor's look at the broker: connect, and prove a round trip by delivery.

Under MQTT 3.1.1 a broker answers a publish that its ACL denied like any other, so the only proof
is that the message comes back to a subscriber.
"""

from __future__ import annotations

import secrets
import ssl
import time
from dataclasses import dataclass, field
from typing import Any

from edge_agent.commands.finding import Finding
from edge_agent.config import Config, Mqtt
from edge_agent.errors import BrokerError
from edge_agent.metrics import topic
from edge_agent.telemetry.broker import MQTT_3_1_1, MQTT_5, address, make_client

WAIT_S = 6.0
PROBE = "up/doctor"


@dataclass
class _Probe:
    """What came of one connection."""

    accepted: bool = False
    refusal: str = ""
    back: bool = False
    protocol: int = MQTT_5
    heard: list[bytes] = field(default_factory=list)


def check_broker(config: Config) -> list[Finding]:
    """Whether the broker lets this device in and passes its messages on."""
    mqtt = config.mqtt
    if mqtt is None:
        why = "no [mqtt] section: telemetry goes to a file"
        return [Finding("warn", "broker", why, "add [mqtt] with url to send it")]
    try:
        probe = _connect(mqtt, config.device.id)
    except BrokerError as error:
        return [Finding("fail", "broker", str(error), "correct the [mqtt] section")]
    except ssl.SSLError as error:
        step = "check ca, cert and key in [mqtt], and the clock of this device"
        return [Finding("fail", "broker", f"{mqtt.url}: TLS: {error.reason or error}", step)]
    except OSError as error:
        step = "check the url in [mqtt], that the broker runs, and the firewall"
        return [Finding("fail", "broker", f"{mqtt.url}: {error.strerror or error}", step)]
    return _judge(mqtt, config.device.id, probe)


def _judge(mqtt: Mqtt, device: str, probe: _Probe) -> list[Finding]:
    if not probe.accepted:
        step = "check username and password_file (or cert and key) in [mqtt]"
        why = f"{mqtt.url}: {probe.refusal or f'no answer in {WAIT_S:.0f} s'}"
        return [Finding("fail", "broker", why, step)]
    version = "5" if probe.protocol == MQTT_5 else "3.1.1"
    found = Finding("ok", "broker", f"{mqtt.url} accepts us with MQTT {version}")
    path = topic(device, PROBE)
    if not probe.back:
        # A device may well be allowed to write there and not to read it.
        why = f"a message to {path} did not come back: denied by the ACL, or reading is"
        step = f"allow the device to write {topic(device, 'up/#')} and look with mosquitto_sub"
        return [found, Finding("warn", "broker round trip", why, step)]
    return [found, Finding("ok", "broker round trip", f"a message to {path} came back")]


def _connect(mqtt: Mqtt, device: str) -> _Probe:
    probe = _attempt(mqtt, device, MQTT_5)
    # Brokers that know 3.1.1 only refuse, hang up, or wait for more of what they cannot read.
    if not probe.accepted and ("protocol" in probe.refusal or not probe.refusal):
        probe = _attempt(mqtt, device, MQTT_3_1_1)
    return probe


def _attempt(mqtt: Mqtt, device: str, protocol: int) -> _Probe:
    host, port = address(mqtt)
    probe = _Probe(protocol=protocol)
    # Not the agent's own client id: the broker would throw the running agent out.
    client = make_client(mqtt, f"doctor-{device}-{secrets.token_hex(2)}", protocol)
    mark, path = secrets.token_hex(8).encode(), topic(device, PROBE)

    def on_connect(_client: Any, _data: Any, _flags: Any, code: Any, _props: Any) -> None:
        probe.accepted = not code.is_failure
        probe.refusal = f"refused: {str(code).lower()}" if code.is_failure else ""
        if probe.accepted:
            client.subscribe(path, qos=1)

    def on_subscribe(*_: Any) -> None:
        client.publish(path, mark, qos=1)

    def on_message(_client: Any, _data: Any, message: Any) -> None:
        probe.back = probe.back or message.payload == mark

    client.on_connect, client.on_subscribe = on_connect, on_subscribe
    client.on_message = on_message
    client.connect(host, port, 10)
    _listen(client, probe)
    client.disconnect()
    client.loop(0)
    return probe


def _listen(client: Any, probe: _Probe) -> None:
    """Until the message is back, the broker refused or hung up, or time is over."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline and not probe.back and not probe.refusal:
        if client.loop(0.1) != 0:
            probe.refusal = probe.refusal or "hung up: protocol version or TLS setting?"
            return
