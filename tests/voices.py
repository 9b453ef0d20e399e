"""One device's outbox, sink and telemetry, put together as the agent does, and links that break.

::

    one = Voice(tmp_path / "device", broker.url)
    one.telemetry.send([window(1)])
    one.wait("connected")
    one.close()
"""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import replace

from edge_agent.backoff import Backoff
from edge_agent.config import Mqtt
from edge_agent.metrics import METRICS_SYSTEM, Message
from edge_agent.sinks import Hooks
from edge_agent.sinks.mqtt import MqttSink
from edge_agent.telemetry.broker import MQTT_5
from edge_agent.telemetry.outbox import Outbox
from edge_agent.telemetry.voice import Telemetry

DEVICE = "cell-3"


def settings(url, **changes):
    """A ``[mqtt]`` section."""
    return replace(Mqtt(url, None, None, None, "", None, 5), **changes)


def window(number):
    """A window's metrics, told apart by a number."""
    return Message(METRICS_SYSTEM, {"number": number})


class Voice:
    """See the module's docstring."""

    def __init__(
        self,
        folder,
        url,
        boot="b1",
        device=DEVICE,
        protocol=MQTT_5,
        *,
        limits=None,
        hooks=None,
        max_bytes=1 << 20,
        **changes,
    ):
        folder.mkdir(exist_ok=True)
        self.outbox = Outbox(folder / "outbox.sqlite", max_bytes)
        self.telemetry = Telemetry(self.outbox, boot)
        self.sink = MqttSink(
            settings(url, **changes),
            device,
            self.outbox,
            self.telemetry.stamp_live,
            Backoff(0.05, 0.2),
            protocol,
            limits=limits,
            hooks=hooks or Hooks(tell=lambda message, version: self.telemetry.send([message])),
        )
        self.telemetry.attach(self.sink)

    def wait(self, prefix, timeout_s=15.0):
        """Until the sink is in a state."""
        deadline = time.monotonic() + timeout_s
        while not self.sink.state.startswith(prefix):
            assert time.monotonic() < deadline, f"{self.sink.state} is not {prefix}"
            time.sleep(0.005)

    def drained(self, timeout_s=15.0):
        """Until the outbox holds nothing but what was set aside."""
        deadline = time.monotonic() + timeout_s
        while len(self.outbox) > self.outbox.aside:
            assert time.monotonic() < deadline, f"{len(self.outbox)} wait; {self.sink.state}"
            time.sleep(0.005)

    def close(self):
        """As the agent ends it."""
        self.telemetry.close(1.5)
        self.outbox.close()


class Link:
    """A TCP connection's middle: passes bytes on until told to swallow them (`cut`)."""

    def __init__(self, port):
        self._port = port
        self._cut = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self._open = [self._server]
        self.url = f"mqtt://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self):
        """From now on nothing comes through, in both directions, and nobody is told."""
        self._cut.set()

    def mend(self):
        """New connections get through again."""
        self._cut.clear()

    def _accept(self):
        while True:
            try:
                near, _ = self._server.accept()
                far = socket.create_connection(("127.0.0.1", self._port))
            except OSError:
                return
            self._open += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one, other):
        try:
            while data := one.recv(65536):
                if not self._cut.is_set():
                    other.sendall(data)
            if not self._cut.is_set():
                other.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        """End everything."""
        for one in self._open:
            one.close()
