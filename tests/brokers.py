"""Real MQTT brokers on free loopback ports, and a client that listens.

::

    with Mosquitto(tmp_path) as broker:          # or Amqtt(tmp_path)
        with Listener(broker.url) as heard:
            ...
            heard.wait(lambda messages: len(messages) >= 3)
        broker.kill(); broker.start()            # the same port and, for mosquitto, the same memory

`Mosquitto` keeps retained and queued messages over a stop, and over a SIGKILL all but those of its
last moment (it acknowledges before it saves). `Amqtt` (MQTT 3.1.1 only) forgets them: what is right
with both is right with any broker between.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

MOSQUITTO = shutil.which(
    "mosquitto", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
)


def free_port() -> int:
    """A TCP port of the loopback interface that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Broker:
    """A broker as a child process; a context manager."""

    command: list[str]

    def __init__(self, folder: Path, port: int | None = None):
        self.port = port or free_port()
        self.folder = folder / f"broker-{self.port}"
        self.folder.mkdir(parents=True)
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self.process: subprocess.Popen | None = None

    def start(self, timeout_s: float = 15.0):
        """Start and wait until the port answers."""
        with (self.folder / "log.txt").open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.2).close()
                return self
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.05)
        raise RuntimeError((self.folder / "log.txt").read_text())

    def kill(self):
        """SIGKILL: as a power cut at the broker's machine."""
        self._end(signal.SIGKILL)

    def stop(self):
        """SIGTERM: a restart by the operator; mosquitto writes down everything it acknowledged."""
        self._end(signal.SIGTERM)

    def _end(self, how):
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(10)
            self.process = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self._end(signal.SIGKILL)


class Mosquitto(Broker):
    """mosquitto with persistence; ``extra`` lines replace anonymous access."""

    def __init__(self, folder, port=None, extra=("allow_anonymous true",), listener=()):
        super().__init__(folder, port)
        lines = [
            f"listener {self.port} 127.0.0.1",
            *listener,
            "persistence true",
            f"persistence_location {self.folder}/",
            "autosave_interval 1",
            "autosave_on_changes true",
            *extra,
        ]
        if os.geteuid() == 0:
            lines.append("user root")
        (self.folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
        self.command = [MOSQUITTO or "mosquitto", "-c", str(self.folder / "mosquitto.conf")]


class Amqtt(Broker):
    """amqtt, anonymous; MQTT 3.1.1 only, and it forgets everything when killed."""

    def __init__(self, folder, port=None):
        super().__init__(folder, port)
        config = (
            "listeners:\n  default:\n    type: tcp\n"
            f"    bind: 127.0.0.1:{self.port}\n"
            "plugins:\n  amqtt.plugins.authentication.AnonymousAuthPlugin:\n"
            "    allow_anonymous: true\n"
        )
        (self.folder / "amqtt.yaml").write_text(config)
        script = "from amqtt.scripts.broker_script import main; main()"
        self.command = [sys.executable, "-c", script, "-c", str(self.folder / "amqtt.yaml")]


@dataclass(frozen=True)
class Heard:
    """One message as it came."""

    topic: str
    payload: bytes
    retain: bool
    qos: int


class Listener:
    """A subscriber that survives a broker's restart and can be waited on.

    With ``on_payload`` it keeps nothing and hands each payload over, for very many messages.
    """

    def __init__(self, url: str, pattern: str = "outpost/v1/#", protocol: int = 4, on_payload=None):
        import paho.mqtt.client as mqtt

        self.messages: list[Heard] = []
        self._changed = threading.Condition()
        self._subscribed = threading.Event()
        self._pattern = pattern
        self._on_payload = on_payload
        self._client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=f"listener-{secrets.token_hex(8)}",
            clean_session=False,
            protocol=mqtt.MQTTProtocolVersion(protocol),
        )
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe(pattern, qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        host, port = url.split("//")[1].split(":")
        self._address = host, int(port)

    def _on_message(self, _client, _userdata, message):
        if self._on_payload is not None:
            self._on_payload(message.payload)
            return
        with self._changed:
            self.messages.append(
                Heard(message.topic, message.payload, bool(message.retain), message.qos)
            )
            self._changed.notify_all()

    def topics(self) -> list[str]:
        """The topics heard so far, in order."""
        with self._changed:
            return [message.topic for message in self.messages]

    def on(self, suffix: str) -> list[Heard]:
        """The messages whose topic ends so."""
        with self._changed:
            return [message for message in self.messages if message.topic.endswith(suffix)]

    def wait(self, condition, timeout_s: float = 15.0) -> bool:
        """Wait until ``condition(messages)`` holds; asserts that it did."""
        with self._changed:
            done = self._changed.wait_for(lambda: condition(self.messages), timeout_s)
        assert done, f"waited {timeout_s} s; heard {self.topics()[-20:]}"
        return done

    def __enter__(self):
        self._client.connect(*self._address)
        self._client.loop_start()
        assert self._subscribed.wait(10), "the broker did not answer the subscription"
        return self

    def __exit__(self, *_):
        self._client.disconnect()
        self._client.loop_stop()
