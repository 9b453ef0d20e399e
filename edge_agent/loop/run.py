"""`edge-agent run`: one agent per data folder, until it is stopped."""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from edge_agent.config import Address, Config
from edge_agent.errors import StorageError, storage_errors
from edge_agent.layout import Layout
from edge_agent.loop.agent import Agent
from edge_agent.loop.assemble import assemble
from edge_agent.loop.process import settle
from edge_agent.sinks import make_sink

GOODBYE_S = 0.9


def run(
    config: Config,
    *,
    bundle: Path | None = None,
    sink: str | None = None,
    page: Address | None = None,
) -> None:
    """Run the agent until SIGTERM, Ctrl-C, or the end of every source.

    Args:
        config: agent.toml.
        bundle: run this bundle's folder instead of following the journal.
        sink: spec of the sink; MQTT when there is a ``[mqtt]`` section, else a log file, when None.
        page: where to show the page; where ``[page]`` says, when None.

    Raises:
        OutpostError: when it cannot begin; later troubles are logged, counted and told.
    """
    settle()
    boot = secrets.token_hex(4)
    start_logging(config, boot)
    with ExitStack() as stack:
        _make_folders(config.layout)
        stack.enter_context(only_one(config.layout.data / "agent.lock"))
        house = assemble(config, stack, boot, bundle=bundle, page=page or config.page.address)
        stack.enter_context(stop_on_signals(house.agent))
        house.open_doors(stack)
        chosen = sink or ("mqtt" if config.mqtt is not None else "log")
        house.telemetry.attach(make_sink(chosen, house.context))
        stack.callback(house.telemetry.close, GOODBYE_S)
        house.agent.run()


def _make_folders(layout: Layout) -> None:
    for folder in (layout.data, layout.run):
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Hold a lock file, so that two agents never share a data folder.

    Raises:
        StorageError: when another process holds it.
    """
    with storage_errors(path):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StorageError(
            f"{path}: another edge-agent runs with this data folder; stop it or choose another"
        ) from None
    else:
        yield
    finally:
        os.close(fd)


@contextmanager
def stop_on_signals(agent: Agent) -> Iterator[None]:
    """SIGTERM and Ctrl-C end the agent cleanly."""
    before = {
        number: signal.signal(number, lambda *_: agent.stop())
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def start_logging(config: Config, boot: str) -> None:
    """One line per record on stderr: text, or JSON where ``[log]`` wants it."""
    handler = logging.StreamHandler(sys.stderr)
    if config.log.format == "json":
        from edge_agent.telemetry.ecs import EcsFormatter

        handler.setFormatter(EcsFormatter(config.device.id, boot))
    else:
        form = "%(asctime)s %(levelname)s %(message)s"
        handler.setFormatter(logging.Formatter(form, datefmt="%Y-%m-%dT%H:%M:%S"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
