"""The page of an agent, seen from a client: where it is, and requests that may be odd.

::

    with device.agent("--page", "127.0.0.1:0") as agent:
        url = page_of(agent)
        assert get(url, "/api/state").document["device"] == device.id
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import time
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Got:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def document(self):
        """The body as JSON."""
        return json.loads(self.body)


def page_of(agent, timeout_s: float = 20.0) -> str:
    """The address that an agent process logs once it serves, like ``http://127.0.0.1:40123``."""
    deadline = time.monotonic() + timeout_s
    while not (found := re.findall(r"page: (http://[^/]+)/", agent.text())):
        assert agent.process.poll() is None, agent.text()
        assert time.monotonic() < deadline, agent.text()
        time.sleep(0.02)
    return found[-1]


def get(url: str, path: str, *, method: str = "GET", body: bytes | None = None, **headers) -> Got:
    """One request on a connection of its own; ``Host`` is what a browser would send unless given.

    Header names are written with underscores: ``Set_Cookie``.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        answer = connection.getresponse()
        return Got(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def wait_state(url: str, condition, timeout_s: float = 20.0, **headers):
    """Ask for the state until it fulfils a condition; returns it."""
    deadline = time.monotonic() + timeout_s
    while True:
        state = get(url, "/api/state", **headers).document
        if condition(state):
            return state
        assert time.monotonic() < deadline, state
        time.sleep(0.05)


def raw(url: str, data: bytes = b"") -> socket.socket:
    """A bare connection on which these bytes were sent."""
    parts = urlsplit(url)
    connection = socket.create_connection((parts.hostname, parts.port), timeout=20)
    connection.sendall(data)
    return connection
