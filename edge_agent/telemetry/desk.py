"""Where commands arrive, are checked, carried out once, and answered on ``up/result/<id>``."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_agent.errors import OutpostError, StorageError
from edge_agent.metrics import RESULT, Message
from edge_agent.telemetry.command import AlreadyObeyed, Book, Command, CommandRefused, is_id, parse

ARRIVED_MOST = 32
PENDING_S = 15.0
REFUSALS_PER_MINUTE = 20
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What became of a command: ``done`` or ``failed``, one sentence, facts."""

    state: str
    text: str
    data: Mapping[str, Any] = field(default_factory=dict)


Later = Callable[[], Outcome | None]
"""Asked again and again until it gives the outcome."""
Action = Callable[[Command], Outcome | Later]
"""Carries out one kind of command in the thread that goes to the disk. OutpostErrors are told."""


class Desk:
    """Takes commands from the sink's thread; the thread that goes to the disk carries them out.

    Args:
        path: of the book of obeyed commands.
        actions: kind -> what carries it out.
        allowed: kinds that this device obeys.
        tell: takes the answers.
        clock: wall-clock seconds.
        monotonic: seconds that never step.
    """

    def __init__(
        self,
        path: Path,
        actions: Mapping[str, Action],
        *,
        allowed: Iterable[str],
        tell: Callable[[Message], None],
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._actions = actions
        self._allowed = frozenset(allowed)
        self._tell = tell
        self._clock = clock
        self._monotonic = monotonic
        self._book: Book | None = None
        self._arrived: deque[tuple[str, bytes, bool]] = deque(maxlen=ARRIVED_MOST)
        self._pending: list[tuple[Command, Later, float]] = []
        self._refusals: deque[float] = deque(maxlen=REFUSALS_PER_MINUTE)

    def hear(self, name: str, payload: bytes, retained: bool) -> None:
        """A command arrived; returns at once. The oldest go when too many arrive together."""
        self._arrived.append((name, payload, retained))

    @property
    def busy(self) -> bool:
        """Whether there is something to do in `poll`."""
        return bool(self._arrived or self._pending)

    def poll(self) -> None:
        """Carry out what arrived and answer what is finished; waits for the disk."""
        while self._arrived:
            self._take(*self._arrived.popleft())
        if self._pending:
            self._pending = [entry for entry in self._pending if not self._finished(*entry)]

    def _take(self, name: str, payload: bytes, retained: bool) -> None:
        if not is_id(name):
            log.warning("command with the id %.80r is ignored", name)
            return
        try:
            command = self._admit(name, payload, retained)
        except AlreadyObeyed as error:
            log.info("command %s %s", name, error)
        except (CommandRefused, StorageError) as error:
            self._refuse(name, str(error))
        else:
            self._carry_out(command)

    def _admit(self, name: str, payload: bytes, retained: bool) -> Command:
        now = self._clock()
        command = parse(name, payload, retained=retained, now=now)
        if command.kind not in self._allowed or command.kind not in self._actions:
            raise CommandRefused(f"{command.kind} is not among [mqtt] commands of this device")
        if self._book is None:
            self._book = Book.open(self._path)
        self._book.enter(command, now)
        return command

    def _carry_out(self, command: Command) -> None:
        log.info("command %s: %s %s", command.id, command.kind, command.camera)
        try:
            outcome = self._actions[command.kind](command)
        except OutpostError as error:
            outcome = Outcome("failed", str(error))
        if isinstance(outcome, Outcome):
            self._answer(command.id, command.kind, outcome)
        else:
            self._pending.append((command, outcome, self._monotonic() + PENDING_S))

    def _finished(self, command: Command, later: Later, deadline: float) -> bool:
        try:
            outcome = later()
        except OutpostError as error:
            outcome = Outcome("failed", str(error))
        if outcome is None and self._monotonic() > deadline:
            outcome = Outcome("failed", f"nothing came of it in {PENDING_S:.0f} s")
        if outcome is not None:
            self._answer(command.id, command.kind, outcome)
        return outcome is not None

    def _refuse(self, name: str, why: str) -> None:
        now = self._monotonic()
        while self._refusals and self._refusals[0] <= now - 60:
            self._refusals.popleft()
        if len(self._refusals) == REFUSALS_PER_MINUTE:
            return  # a storm of nonsense must not fill the outbox
        self._refusals.append(now)
        log.warning("command %s refused: %s", name, why)
        self._answer(name, "", Outcome("refused", why))

    def _answer(self, name: str, kind: str, outcome: Outcome) -> None:
        payload = {
            "id": name,
            "command": kind,
            "state": outcome.state,
            "text": outcome.text,
            "data": dict(outcome.data),
        }
        self._tell(Message(f"{RESULT}/{name}", payload, priority=1))
