"""The updater's loop: poll the repository, drive each model, watch a trial.

Everything it does can be interrupted at any instruction, so stopping is simply leaving.
"""

from __future__ import annotations

import fcntl
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from edge_agent.atomic import make_dirs
from edge_agent.backoff import Backoff
from edge_agent.bundle import FileEntry
from edge_agent.config import Config, Model
from edge_agent.errors import ConfigError, OutpostError, StorageError, storage_errors
from edge_agent.layout import Layout
from edge_agent.slots import Journal, State
from registry_sync.device.client import Client
from registry_sync.device.steps import World
from registry_sync.device.transaction import Do, Request, next_request
from registry_sync.device.transport import transport_for
from registry_sync.device.updater import Updater
from registry_sync.rollout import Rollout

WATCH_S = 0.5
IDLE_S = 1.0
ASKED_S = 10.0  # a message that asks for a look cannot make it look more often
_SLOWEST_POLL_S = 900.0


class AlreadyRunning(StorageError):
    """Another updater works on this data folder."""


@contextmanager
def updater_lock(layout: Layout) -> Iterator[None]:
    """Be the one updater of a data folder; the lock falls with the process.

    Raises:
        AlreadyRunning: when there is another one.
    """
    make_dirs(layout.data)
    with storage_errors(layout.updater_lock):
        fd = os.open(layout.updater_lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(
                f"{layout.updater_lock}: another registry-sync works on this folder; stop it first"
            ) from None
        yield
    finally:
        os.close(fd)


class NoRepository:
    """The source of a device without ``[repository]``: going back works, installing does not."""

    def manifest(self, model: str, version: int, digest: str) -> bytes:
        """Always refuses."""
        raise ConfigError("[repository] is missing; name the release repository in agent.toml")

    def fetch(self, entries: tuple[FileEntry, ...]) -> int:
        """Always refuses."""
        raise ConfigError("[repository] is missing; name the release repository in agent.toml")


def make_client(config: Config, journal: Journal) -> Client:
    """The client of the configured repository.

    Raises:
        ConfigError: when ``[repository]`` is missing.
    """
    if config.repository is None:
        raise ConfigError(
            f"{config.path}: [repository] is missing; name the release repository and its root.json"
        )
    return Client(config.repository, config.layout, journal, transport_for(config.repository.url))


@dataclass
class _Line:
    """One model: its updater and what was last read about it."""

    updater: Updater
    document: Rollout | None = None
    request: Request | None = None
    rows_read: int = 0
    watching: bool = False


class Runner:
    """Polls and drives until told to stop.

    Args:
        client: the release repository.
        world: what the updaters touch.
        wait: sleeps for so many seconds; a simulation lets its agent live meanwhile.
        monotonic: seconds on a clock that never steps, for the next poll.
    """

    def __init__(
        self,
        client: Client,
        world: World,
        wait: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._world = world
        self._wait = wait
        self._monotonic = monotonic
        self._lines = [_Line(Updater(world, model)) for model in world.config.models]
        poll_s = world.config.repository.poll_s if world.config.repository else 60.0
        self._poll_s = poll_s
        self._backoff = Backoff(poll_s, max(poll_s, min(_SLOWEST_POLL_S, 8 * poll_s)))
        self._next_poll = self._polled = 0.0
        self._asked = self._look_now()
        self._last_said = ""
        self.trouble: OutpostError | None = None

    def run(self) -> None:
        """Work until the process is told to stop."""
        self.start()
        while True:
            self._wait(self.tick())

    def once(self) -> int:
        """Poll once and work until nothing is on the way, trials included.

        Returns:
            0 when every model rests on what it was asked to run, 1 when one was refused, failed
            or went back.

        Raises:
            RepositoryError: the repository could not be read; what was on the way is finished.
        """
        self.start()
        self.tick()
        while any(line.watching for line in self._lines):
            self._wait(WATCH_S)
            self._drive_all()
        if self.trouble is not None:
            raise self.trouble
        bad = (State.FAILED, State.ROLLED_BACK)
        return int(any(line.updater.slot().state in bad for line in self._lines))

    def start(self) -> None:
        """Remove what an earlier run left behind, where nothing is on the way."""
        for line in self._lines:
            # What a failed try has fetched is continued, so it stays.
            if line.updater.slot().state in (State.IDLE, State.COMMITTED, State.ROLLED_BACK):
                line.updater.steps.collect()

    def tick(self) -> float:
        """One look at everything; returns how long to sleep, in seconds."""
        asked = self._look_now()
        if asked != self._asked:
            self._asked = asked
            self._next_poll = min(self._next_poll, self._polled + ASKED_S)
        if self._monotonic() >= self._next_poll:
            self._poll()
        self._drive_all()
        pause = WATCH_S if any(line.watching for line in self._lines) else IDLE_S
        return max(0.01, min(pause, self._next_poll - self._monotonic()))

    def _look_now(self) -> tuple[int, int] | None:
        """What changes when the agent was told that there is something to look at."""
        try:
            found = self._world.config.layout.look_now.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def _poll(self) -> None:
        self._polled = self._monotonic()
        try:
            self._client.refresh()
            for line in self._lines:
                line.document = self._document(line.updater.model)
        except OutpostError as error:
            self._next_poll = self._monotonic() + self._backoff.next_s()
            self._note_trouble(error)
            return
        self._backoff.reset()
        self._next_poll = self._monotonic() + self._poll_s * random.uniform(0.8, 1.0)  # noqa: S311
        if self.trouble is not None:
            self._note("SYNC_RECOVERED", "the release repository answers again")
        self.trouble = None

    def _document(self, model: Model) -> Rollout | None:
        document = self._client.rollout(model.group)
        if document is not None and document.model != model.name:
            self._complain(f"group {model.group} rolls out {document.model}, not {model.name}")
            return None
        return document

    def _note_trouble(self, error: OutpostError) -> None:
        if self.trouble is None:
            self._note("SYNC_ERROR", str(error))
        self._complain(str(error))
        self.trouble = error

    def _note(self, event: str, text: str) -> None:
        for line in self._lines:
            self._world.journal.note(line.updater.model.name, "", event, text)
        if event == "SYNC_RECOVERED":
            self._complain(text)

    def _complain(self, text: str) -> None:
        """Say something once, however often it happens in a row."""
        if text != self._last_said:
            self._world.say(text)
        self._last_said = text

    def _drive_all(self) -> None:
        for line in self._lines:
            try:
                self._drive(line)
            except OutpostError as error:
                self._complain(f"{line.updater.model.name}: {error}")

    def _drive(self, line: _Line) -> None:
        self._read_requests(line)
        action = line.updater.drive(line.document, line.request)
        line.request = None
        line.watching = action.do is Do.WATCH

    def _read_requests(self, line: _Line) -> None:
        rows = self._world.journal.history(line.updater.model.name, after=line.rows_read)
        line.request = next_request(line.request, rows)
        line.rows_read = rows[-1].seq if rows else line.rows_read


def stop_on_signals() -> None:
    """SIGTERM ends the process cleanly, wherever it is: every step can be repeated."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, leave)
