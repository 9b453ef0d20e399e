"""The page as `edge_agent.loop.run` sees it: made before the agent, served while it runs."""

from __future__ import annotations

import errno
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from edge_agent.config import Address, Config
from edge_agent.errors import ConfigError
from edge_agent.feedback.intake import Intake
from edge_agent.loop.runtime import ModelRuntime
from edge_agent.page.answer import Answer
from edge_agent.page.guard import Guard, token_for
from edge_agent.page.handler import PageHandler, Post, Posts, Route
from edge_agent.page.heard import Heard
from edge_agent.page.server import Server, listening
from edge_agent.page.site import Site
from edge_agent.page.verdicts import Verdicts
from edge_agent.page.watch import Watch
from edge_agent.telemetry.totals import api_totals

log = logging.getLogger(__name__)


class LivePage:
    """The page of one agent.

    Args:
        config: agent.toml.
        address: where to serve it.
        boot: identity of this agent process.
        intake: keeps what inspectors say.

    Attributes:
        watch: a listener for every `edge_agent.loop.judge.Judge`.
        heard: a listener for `edge_agent.telemetry.voice.Telemetry`.

    Raises:
        ConfigError: the address can be reached from elsewhere and there is no token, or the token's
            file cannot be used.
    """

    def __init__(self, config: Config, address: Address, boot: str, intake: Intake) -> None:
        self.watch = Watch(camera.id for camera in config.cameras)
        self.heard = Heard()
        self._config = config
        self._boot = boot
        self._intake = intake
        self._address = address
        self._token = token_for(config, address)
        self._counting = threading.Lock()
        self._api_calls = 0

    def totals(self) -> dict[str, int | float]:
        """Counters for ``up/metrics/system``."""
        return api_totals(self._api_calls)

    @contextmanager
    def serving(self, runtimes: Sequence[ModelRuntime], journal: Path | None) -> Iterator[Address]:
        """Serve until the block ends.

        Args:
            runtimes: what the agent keeps per model.
            journal: its path, None without one.

        Yields:
            The address, with the port that was free for port 0.

        Raises:
            ConfigError: the address cannot be had.
        """
        closing = threading.Event()
        site = Site(
            self._config,
            runtimes,
            watch=self.watch,
            heard=self.heard,
            journal=journal,
            closing=closing,
            boot=self._boot,
        )
        posts = {"/api/feedback": self._counted_post(Verdicts(self._intake, site.shown))}
        guard = Guard.make(
            self._token,
            device=self._config.device.id,
            port=self._address.port,
            hosts=self._config.page.hosts,
        )
        with listening(_bind(self._address, guard, self._counted(site), posts), closing) as address:
            log.info("page: http://%s/%s", address, " (with the token)" if self._token else "")
            yield address

    def _counted(self, site: Site) -> Route:
        """The site, whose questions by programs are counted."""

        def route(path: str, query: Mapping[str, str]) -> Answer | None:
            if path.startswith("/api/"):
                self._count()
            return site(path, query)

        return route

    def _counted_post(self, take: Post) -> Post:
        def post(body: bytes) -> Answer:
            self._count()
            return take(body)

        return post

    def _count(self) -> None:
        with self._counting:
            self._api_calls += 1


def _bind(address: Address, guard: Guard, route: Route, posts: Posts) -> Server:
    try:
        return Server(address, partial(PageHandler, guard, route, posts=posts))
    except OSError as error:
        step = {
            errno.EADDRINUSE: "end what uses it, or choose another port",
            errno.EACCES: "ports below 1024 need rights; choose another port",
            errno.EADDRNOTAVAIL: "no interface of this machine has this address (yet)",
        }.get(error.errno or 0, "choose another address")
        raise ConfigError(f"page on {address}: {error.strerror}; {step}") from None
