"""Which release should run, and getting there: look at the journal, load beside the old, swap.

The journal and the ``current`` link are looked at about once a second. A release on trial has its
start counted durably before it is loaded, so a release that kills the process at load is left
after `slots.MAX_STARTS` starts. Loading happens in a thread while the old release serves, and
looking and counting by whoever goes to the disk: a poll never waits.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from edge_agent.backoff import Backoff
from edge_agent.clerk import AtOnce, Disk
from edge_agent.errors import OutpostError, StorageError
from edge_agent.layout import Layout
from edge_agent.loop.loaded import Holder, Loaded
from edge_agent.slots import Journal, Slot, choose

POLL_S = 1.0
FIRST_RETRY_S = 1.0
MOST_RETRY_S = 300.0
log = logging.getLogger(__name__)

Load = Callable[[str], Loaded]
"""Loads the release of a digest; raises OutpostError."""

Room = Callable[[str, Loaded], str]
"""Why the release of a digest has no room in memory beside the one in use, or "" when it has."""


def anywhere(digest: str, beside: Loaded) -> str:
    """No limit."""
    return ""


@dataclass(frozen=True)
class Option:
    """A release that could run, and whether its start must be counted."""

    digest: str
    on_trial: bool = False


@dataclass(frozen=True)
class Plan:
    """What to run, best first, and why not something else.

    Attributes:
        options: the choice of `slots.choose`, then what to fall back to when it cannot be loaded.
        reason: why the linked release is not the choice; "" when it is.
        rejected: the release that was given up for that reason, or "".
    """

    options: tuple[Option, ...]
    reason: str = ""
    rejected: str = ""


def plan(slot: Slot, linked: str) -> Plan:
    """The order in which releases are tried. Pure."""
    choice = choose(slot, linked)
    first = Option(choice.digest, choice.on_trial)
    rest = [Option(digest) for digest in (slot.committed, slot.previous)]
    options: list[Option] = []
    for option in (first, *rest):
        known = [taken.digest for taken in options]
        gone = bool(choice.reason) and option.digest == slot.candidate
        if option.digest and option.digest not in known and not gone:
            options.append(option)
    return Plan(tuple(options), choice.reason, slot.candidate if choice.reason else "")


@dataclass(frozen=True)
class Change:
    """Something that the agent must tell.

    Attributes:
        kind: ``swapped``, ``failed``, or ``held`` (there is no room for it now).
        digest: which release.
        text: one sentence.
        loaded: the release that serves since then, with ``swapped``.
        before: the release that served until then, if any.
        seconds: what loading took.
    """

    kind: str
    digest: str
    text: str
    loaded: Loaded | None = None
    before: Loaded | None = None
    seconds: float = 0.0


class Releases(Protocol):
    """Decides what runs for one model; `Follower` for a device, `FixedRelease` for trying."""

    holder: Holder
    error: str
    failed: str
    """The digest that `error` is about."""

    @property
    def loading(self) -> bool:
        """Whether a release is being loaded now."""

    def poll(self) -> list[Change]:
        """Look again; called a few times a second by one thread; swaps happen inside."""


class _Loader:
    """One load in a thread; `take` gives its outcome once."""

    def __init__(self) -> None:
        self.option: Option | None = None
        self._thread: threading.Thread | None = None
        self._outcome: Loaded | OutpostError | None = None
        self._began = 0.0

    def start(self, option: Option, load: Load) -> None:
        self.option = option
        self._outcome = None
        self._began = time.monotonic()
        self._thread = threading.Thread(
            target=self._work, args=(option.digest, load), name="load", daemon=True
        )
        self._thread.start()

    def _work(self, digest: str, load: Load) -> None:
        try:
            self._outcome = load(digest)
        except OutpostError as error:
            self._outcome = error
        except (Exception, MemoryError) as error:  # a runtime may raise anything at load
            self._outcome = OutpostError(f"{type(error).__name__}: {error}")

    def take(self) -> tuple[Option, Loaded | OutpostError, float] | None:
        option = self.option
        if option is None or self._thread is None or self._thread.is_alive():
            return None
        self.option, self._thread = None, None
        assert self._outcome is not None
        return option, self._outcome, time.monotonic() - self._began


@dataclass(frozen=True)
class _Seen:
    """What the journal and the ``current`` link said at one moment."""

    slot: Slot | StorageError
    linked: str


class Follower:
    """Follows the journal and the ``current`` link of one model.

    Args:
        model: its name.
        layout: the device's folders.
        journal: shared by all models of this agent; used in errands only. None when it could not
            be opened: then the link alone decides.
        load: loads a digest.
        clock: monotonic seconds.
        room: asked before a release is loaded beside another; a start that is not made for want
            of room is not counted either.
        disk: who goes to the journal and the link.
    """

    def __init__(
        self,
        model: str,
        layout: Layout,
        journal: Journal | None,
        load: Load,
        clock: Callable[[], float] = time.monotonic,
        room: Room = anywhere,
        disk: Disk | None = None,
    ) -> None:
        self.holder = Holder()
        self.error = ""
        self.failed = ""
        self._model = model
        self._layout = layout
        self._journal = journal
        self._load = load
        self._clock = clock
        self._room = room
        self._disk = disk or AtOnce()
        self._seen: _Seen | None = None
        self._preparing: Option | None = None
        self._prepared: str | StorageError | None = None
        self._held = ""
        self._loader = _Loader()
        self._look_at = 0.0
        self._retry: dict[str, tuple[Backoff, float]] = {}
        self._told_rejected = ""
        self._noted = False

    @property
    def loading(self) -> bool:
        """Whether a release is being loaded now, or its start being counted."""
        return self._loader.option is not None or self._preparing is not None

    def poll(self) -> list[Change]:
        """Take over what was loaded; once a second look whether something else is wanted."""
        changes = self._finish()
        if self._preparing is not None:
            changes += self._go_on(self._preparing)
        if self.loading:
            return changes
        if self._clock() >= self._look_at:
            self._look_at = self._clock() + POLL_S
            self._disk.do(f"look {self._model}", self._read)
        seen, self._seen = self._seen, None
        return changes if seen is None else changes + self._look(seen)

    def _read(self) -> None:
        """An errand: what the journal and the link say now."""
        slot, linked = self._slot(), self._layout.linked(self._model)
        self._seen = _Seen(slot, linked)

    def _slot(self) -> Slot | StorageError:
        if self._journal is None:
            return Slot(self._model)
        try:
            return self._journal.slot(self._model)
        except StorageError as error:
            return error

    def _look(self, seen: _Seen) -> list[Change]:
        """When the journal cannot be read, what runs goes on; without that the link decides."""
        slot = seen.slot
        if isinstance(slot, StorageError):
            self._note_error(str(slot))
            if self.holder.current is not None:
                return []
            slot = Slot(self._model)
        wanted = plan(slot, seen.linked)
        changes = self._tell_rejected(wanted)
        option = self._next(wanted)
        if option is not None:
            changes += self._start(option)
        return changes

    def _next(self, wanted: Plan) -> Option | None:
        """The best option that may be tried now and is better than what runs."""
        running = self.holder.current
        for option in wanted.options:
            if running is not None and option.digest == running.digest:
                if option is wanted.options[0]:
                    self.error, self.failed = wanted.reason, wanted.rejected
                return None
            _, retry_at = self._retry.get(option.digest, (None, 0.0))
            if retry_at <= self._clock():
                return option
            if running is not None:
                return None
        return None

    def _start(self, option: Option) -> list[Change]:
        running = self.holder.current
        self._prepared = None
        if self._disk.do(f"start {self._model}", lambda: self._prepare(option, running)):
            self._preparing = option
            return self._go_on(option)
        return []

    def _prepare(self, option: Option, running: Loaded | None) -> None:
        """An errand: whether there is room; then a start on trial is counted."""
        why = "" if running is None else self._room(option.digest, running)
        if not why and option.on_trial and self._journal is not None:
            try:
                starts = self._journal.count_start(self._model, option.digest)
            except StorageError as error:  # what cannot be counted is not started
                self._prepared = error
                return
            log.info("%s: start %d of %s on trial", self._model, starts, option.digest[:12])
        self._prepared = why

    def _go_on(self, option: Option) -> list[Change]:
        """Load what was prepared, once it is."""
        answer = self._prepared
        if answer is None:
            return []
        self._preparing = self._prepared = None
        if isinstance(answer, StorageError):
            return [self._failed(option, answer)]
        if answer:
            return self._hold(option, answer)
        self._held = ""
        self._loader.start(option, self._load)
        return []

    def _finish(self) -> list[Change]:
        taken = self._loader.take()
        if taken is None:
            return []
        option, outcome, seconds = taken
        if isinstance(outcome, OutpostError):
            return [self._failed(option, outcome)]
        self._retry.pop(option.digest, None)
        self._look_at = 0.0
        before = self.holder.current
        self.holder.swap(outcome)
        text = f"{self._model} {outcome.version} runs ({option.digest[:12]})"
        return [Change("swapped", option.digest, text, outcome, before, seconds)]

    def _hold(self, option: Option, why: str) -> list[Change]:
        """The release in use goes on; it is looked again, ever more rarely, and told once."""
        self._later(option)
        text = f"{option.digest[:12]} is not loaded: {why}"
        self._note_error(text, option.digest)
        if self._held == option.digest:
            return []
        self._held = option.digest
        return [Change("held", option.digest, f"{self._model}: {text}")]

    def _later(self, option: Option) -> None:
        backoff, _ = self._retry.get(option.digest, (Backoff(FIRST_RETRY_S, MOST_RETRY_S), 0.0))
        self._retry[option.digest] = backoff, self._clock() + backoff.next_s()

    def _failed(self, option: Option, error: OutpostError) -> Change:
        self._later(option)
        self._look_at = 0.0
        text = f"{option.digest[:12]} cannot be loaded: {error}"
        self._note_error(text, option.digest)
        return Change("failed", option.digest, f"{self._model}: {text}")

    def _note_error(self, text: str, digest: str = "") -> None:
        if text != self.error:
            log.error("%s: %s", self._model, text)
        self.error, self.failed = text, digest

    def _tell_rejected(self, wanted: Plan) -> list[Change]:
        """Once per release: it used up its starts; the journal's audit log says so too."""
        journal, digest = self._journal, wanted.rejected
        if not digest or journal is None:
            return []
        new = digest != self._told_rejected
        if new:
            self._note_error(wanted.reason, digest)
            self._told_rejected, self._noted = digest, False

        def note() -> None:
            try:
                if not self._noted:
                    journal.note(self._model, digest, "AGENT_FELL_BACK", wanted.reason)
                self._noted = True
            except StorageError as error:
                log.error("%s: %s", self._model, error)

        if not self._noted:
            self._disk.do(f"reject {self._model}", note)
        return [Change("failed", digest, f"{self._model}: {wanted.reason}")] if new else []


class FixedRelease:
    """One bundle folder, loaded at the start, for trying things without registry-sync.

    Raises:
        OutpostError: when it cannot be loaded.
    """

    def __init__(self, load: Callable[[], Loaded]) -> None:
        self.holder = Holder()
        self.error = ""
        self.failed = ""
        self.loading = False
        began = time.monotonic()
        self._changes = [self._begin(load(), began)]

    def _begin(self, loaded: Loaded, began: float) -> Change:
        self.holder.swap(loaded)
        text = f"{loaded.model} {loaded.version} runs ({loaded.digest[:12]})"
        seconds = time.monotonic() - began
        return Change("swapped", loaded.digest, text, loaded, seconds=seconds)

    def poll(self) -> list[Change]:
        """Tells of the one load, once."""
        changes, self._changes = self._changes, []
        return changes
