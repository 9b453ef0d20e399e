"""``/metrics`` for a Prometheus on this machine (an agent of Grafana's, vmagent), when asked for.

A listener keeps the last payload of each kind, by reference; the text is made when somebody asks.
It only listens on the loopback interface: whoever wants it elsewhere forwards it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from typing import Any

from edge_agent import __version__
from edge_agent.config import Address
from edge_agent.errors import ConfigError
from edge_agent.metrics import INFO, Message
from edge_agent.telemetry.exposition import CONTENT_TYPE, FAMILIES, Sample, samples, text

log = logging.getLogger(__name__)
_Kept = tuple[float, Mapping[str, Any]]


class Scrape:
    """Listens to `edge_agent.telemetry.voice` and answers with what it heard last.

    Args:
        state: the sink's named state, asked for at each scrape.
        clock: wall-clock seconds.
    """

    def __init__(self, state: Callable[[], str], clock: Callable[[], float] = time.time) -> None:
        self._state = state
        self._clock = clock
        self._last: dict[tuple[str, str, str], _Kept] = {}
        self._versions: dict[str, str] = {}

    def __call__(self, message: Message, model_version: int = 0) -> None:
        """Take note of one message; values are replaced as a whole."""
        payload = message.payload
        if message.suffix == INFO:
            models = payload.get("models", {})
            self._versions = {name: str(one["version"]) for name, one in models.items()}
        elif message.suffix in FAMILIES:
            key = (message.suffix, str(payload.get("model", "")), str(payload.get("camera", "")))
            self._last = {**self._last, key: (self._clock(), payload)}

    def exposition(self) -> str:
        """All of it as text."""
        found = [Sample("outpost_agent_info", (("agent", __version__),), 1, "agent's version")]
        state = self._state().partition(":")[0]
        connected = float(state == "connected")
        found.append(Sample("outpost_telemetry_up", (), connected, "1 while all telemetry arrives"))
        found.append(Sample("outpost_telemetry_state_info", (("state", state),), 1, "named state"))
        versions = self._versions
        for (suffix, model, camera), (at, payload) in self._last.items():
            labels = {"version": versions[model]} if model in versions else {}
            found += samples(suffix, payload, labels)
            about = {"topic": suffix, "model": model, "camera": camera}
            pairs = tuple((name, value) for name, value in about.items() if value)
            help_text = "when the last window of this kind was closed"
            found.append(Sample("outpost_window_timestamp_seconds", pairs, at, help_text))
        return text(found)

    @contextmanager
    def serving(self, address: Address, device: str) -> Iterator[Address]:
        """Answer ``GET /metrics`` until the block ends.

        Yields:
            The address, with the port that was free for port 0.

        Raises:
            ConfigError: the address cannot be had.
        """
        from edge_agent.page.answer import Answer
        from edge_agent.page.guard import Guard
        from edge_agent.page.handler import PageHandler
        from edge_agent.page.server import Limits, Server, listening

        def route(path: str, query: Mapping[str, str]) -> Answer | None:
            if path != "/metrics":
                return None
            return Answer(HTTPStatus.OK, self.exposition().encode(), CONTENT_TYPE)

        guard = Guard.make("", device=device, port=address.port)
        try:
            server = Server(address, partial(PageHandler, guard, route), Limits(connections=8))
        except OSError as error:
            raise ConfigError(
                f"[prometheus] address {address}: {error.strerror}; choose another port"
            ) from None
        with listening(server, threading.Event()) as bound:
            log.info("prometheus: http://%s/metrics", bound)
            yield bound
