"""Listens to the broker as a fleet server would, and keeps what devices said, once each."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from edge_agent.metrics import EVENTS, ROOT, Reader


@dataclass(frozen=True)
class Received:
    """One payload: seconds since the recorder began, topic below the device, fields."""

    t: float
    suffix: str
    payload: dict[str, Any]


@dataclass
class Recording:
    """What has been received so far; safe to read while it grows."""

    started: float = field(default_factory=time.monotonic)
    started_wall: float = field(default_factory=time.time)
    messages: list[Received] = field(default_factory=list)
    reader: Reader = field(default_factory=Reader)

    def add(self, topic: str, payload: bytes, retained: bool) -> bool:
        """Keep one message; False for a duplicate or something that is not ours."""
        _, _, device, suffix = topic.split("/", 3)
        document = self.reader.accept(device, payload)
        if document is None:
            return False
        # The device's own clock says when it happened: backlog arrives late but belongs earlier.
        t = float(document.get("ts", time.time())) - self.started_wall
        self.messages.append(Received(round(t, 3), suffix, document))
        return True

    def of(self, suffix: str) -> list[Received]:
        """All messages of one topic, in the order of the device's clock."""
        return sorted((m for m in list(self.messages) if m.suffix == suffix), key=lambda m: m.t)

    def events(self, kind: str) -> list[Received]:
        """All events of one kind."""
        return [message for message in self.of(EVENTS) if message.payload.get("kind") == kind]


class Recorder:
    """A subscriber in a thread of its own."""

    def __init__(self, url: str, username: str, password: str) -> None:
        """Connect to the broker and subscribe to everything that devices send."""
        from paho.mqtt.client import CallbackAPIVersion, Client

        self.recording = Recording()
        self._changed = threading.Condition()
        parts = urlsplit(url)
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="demo-recorder")
        self._client.username_pw_set(username, password)
        self._client.on_connect = lambda client, *_: client.subscribe(f"{ROOT}/+/up/#", qos=1)
        self._client.on_message = self._on_message
        self._client.connect(parts.hostname or "127.0.0.1", parts.port or 1883)
        self._client.loop_start()

    def _on_message(self, _client: Any, _userdata: Any, message: Any) -> None:
        if self.recording.add(message.topic, message.payload, message.retain):
            with self._changed:
                self._changed.notify_all()

    def wait_for(self, wanted: Callable[[Recording], bool], timeout_s: float) -> bool:
        """Block until ``wanted(recording)`` holds; False when it did not in time."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not wanted(self.recording):
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                # Wakes now and then, so that a condition on time itself is seen too.
                self._changed.wait(min(left, 0.5))
        return True

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()
