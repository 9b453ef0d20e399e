"""Slot state and its journal: which release is current, which on trial, which banned.

The journal is one SQLite file with synchronous=FULL. The updater alone makes transitions; the agent
only counts starts. Each transition and its audit row are one transaction, so the audit log has no
gap. What the rows mean for the agent at start is the pure function `choose`.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any

from edge_agent.errors import StorageError

SCHEMA_VERSION = 1
MAX_STARTS = 3

_SCHEMA = """
CREATE TABLE IF NOT EXISTS slot (
    model TEXT PRIMARY KEY, state TEXT NOT NULL, committed TEXT NOT NULL, previous TEXT NOT NULL,
    candidate TEXT NOT NULL, starts INTEGER NOT NULL, attempts INTEGER NOT NULL,
    revision INTEGER NOT NULL, rollout TEXT NOT NULL, reason TEXT NOT NULL, since REAL NOT NULL,
    data TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS release (
    digest TEXT PRIMARY KEY, model TEXT NOT NULL, version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS ban (
    model TEXT NOT NULL, digest TEXT NOT NULL, fingerprint TEXT NOT NULL, reason TEXT NOT NULL,
    at REAL NOT NULL, PRIMARY KEY (model, digest, fingerprint));
CREATE TABLE IF NOT EXISTS seen (role TEXT PRIMARY KEY, version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, model TEXT NOT NULL,
    digest TEXT NOT NULL, version INTEGER NOT NULL, origin TEXT NOT NULL, target TEXT NOT NULL,
    reason TEXT NOT NULL, data TEXT NOT NULL);
"""


class State(str, Enum):
    """The steps of the device transaction, as in docs/concepts.md."""

    IDLE = "IDLE"
    RESOLVED = "RESOLVED"
    DOWNLOADED = "DOWNLOADED"
    VERIFIED = "VERIFIED"
    PREPARED = "PREPARED"
    SHADOW = "SHADOW"
    SWITCHING = "SWITCHING"
    TRIAL = "TRIAL"
    COMMITTED = "COMMITTED"
    FAILED = "FAILED"
    ROLLING_BACK = "ROLLING_BACK"
    ROLLED_BACK = "ROLLED_BACK"
    HELD = "HELD"


ROLLBACK_REQUESTED = "ROLLBACK_REQUESTED"
"""The note by which a person or the agent asks the updater to leave a release."""

ROLLBACK_WITHDRAWN = "ROLLBACK_WITHDRAWN"
"""The note by which the agent says that its request is not needed any more."""

ON_TRIAL = (State.SWITCHING, State.TRIAL)


@dataclass(frozen=True)
class Slot:
    """Where one model of this device stands.

    Attributes:
        committed: digest of the release that is proven here, or "".
        previous: digest of the one before, kept for a rollback, or "".
        candidate: digest of the release being installed or on trial, or "".
        starts: counted loads of the candidate since it was switched in.
        attempts: failed tries at the same candidate, for the back-off.
        revision: highest rollout revision that was acted upon.
        since: wall-clock seconds of the last transition.
        data: what the current step must remember (deadline, gate, baseline window, …).
    """

    model: str
    state: State = State.IDLE
    committed: str = ""
    previous: str = ""
    candidate: str = ""
    starts: int = 0
    attempts: int = 0
    revision: int = 0
    rollout: str = ""
    reason: str = ""
    since: float = 0.0
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Ban:
    """A release that is not tried again here until an operator lifts the ban."""

    model: str
    digest: str
    fingerprint: str
    reason: str
    at: float


@dataclass(frozen=True)
class AuditRow:
    """One transition, as it happened."""

    seq: int
    at: float
    model: str
    digest: str
    version: int
    origin: str
    target: str
    reason: str
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Choice:
    """What the agent should load: a digest ("" for nothing) and whether its start is counted."""

    digest: str
    on_trial: bool
    reason: str


def choose(slot: Slot, linked: str) -> Choice:
    """Decide alone, from the journal, what to run. Pure.

    Args:
        slot: the journal's row.
        linked: the digest that the ``current`` link points at, or "".

    Returns:
        The linked release, unless it is a candidate that used up its starts: then the committed.
    """
    on_trial = slot.state in ON_TRIAL and linked == slot.candidate != ""
    if on_trial and slot.starts >= MAX_STARTS:
        reason = f"{slot.starts} starts without a commit; falling back"
        return Choice(slot.committed or slot.previous, False, reason)
    return Choice(linked or slot.committed, on_trial, "")


class Journal:
    """The device's memory of transitions. One per data folder; several processes may open it.

    One thread at a time may use it.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the journal.

        Raises:
            StorageError: when it cannot be opened, is damaged or was written by a newer version.
        """
        self.path = path
        with self._translated():
            self._db = sqlite3.connect(
                path, timeout=10, isolation_level=None, check_same_thread=False
            )
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise StorageError(
                    f"{path}: written by a newer Outpost (schema {version}, known"
                    f" {SCHEMA_VERSION}); install that version again or restore the backup"
                )
            if version < SCHEMA_VERSION:
                self._db.executescript(_SCHEMA)
                self._db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        os.chmod(path, 0o600)

    def close(self) -> None:
        """Close the file; the journal cannot be used afterwards."""
        self._db.close()

    def slot(self, model: str) -> Slot:
        """The state of one model; a fresh `Slot` when nothing was ever installed."""
        with self._translated():
            row = self._db.execute(
                "SELECT model, state, committed, previous, candidate, starts, attempts, revision,"
                " rollout, reason, since, data FROM slot WHERE model = ?",
                (model,),
            ).fetchone()
        if row is None:
            return Slot(model)
        names = tuple(Slot.__dataclass_fields__)
        return Slot(
            **dict(
                zip(names, (row[0], State(row[1]), *row[2:11], json.loads(row[11])), strict=True)
            )
        )

    def transition(self, new: Slot, *, reason: str, at: float | None = None) -> Slot:
        """Write a new state and its audit row in one durable transaction.

        Args:
            new: the whole new state; its `since` and `reason` are set here.
            reason: why, in words for a person.
            at: wall-clock seconds; now when None.

        Returns:
            The slot as written.
        """
        moment = time.time() if at is None else at
        new = replace(new, reason=reason, since=moment)
        with self._transaction():
            old = self.slot(new.model)
            # The agent counts starts meanwhile, so the stored count wins; a switch begins anew.
            fresh = new.candidate != old.candidate or new.state is State.SWITCHING
            new = replace(new, starts=0 if fresh else old.starts)
            values = (
                new.model, new.state.value, new.committed, new.previous, new.candidate, new.starts,
                new.attempts, new.revision, new.rollout, new.reason, new.since,
                json.dumps(dict(new.data), sort_keys=True),
            )  # fmt: skip
            self._db.execute(
                f"INSERT OR REPLACE INTO slot VALUES ({','.join('?' * len(values))})", values
            )
            digest = new.candidate or new.committed
            self._append(moment, new.model, digest, old.state.value, new.state.value, reason, {})
        return new

    def note(self, model: str, digest: str, event: str, reason: str, **data: Any) -> None:
        """Append to the audit log without a change of state (ban lifted, agent fell back, …)."""
        with self._transaction():
            state = self.slot(model).state.value
            self._append(time.time(), model, digest, state, event, reason, data)

    def _append(
        self, at: float, model: str, digest: str, origin: str, target: str, reason: str,
        data: Mapping[str, Any],
    ) -> None:  # fmt: skip
        row = self._db.execute("SELECT version FROM release WHERE digest = ?", (digest,)).fetchone()
        values = (at, model, digest, row[0] if row else 0, origin, target, reason)
        self._db.execute(
            "INSERT INTO audit (at, model, digest, version, origin, target, reason, data)"
            " VALUES (?,?,?,?,?,?,?,?)",
            (*values, json.dumps(dict(data), sort_keys=True)),
        )

    def history(self, model: str | None = None, *, after: int = 0) -> list[AuditRow]:
        """Audit rows with a sequence number above ``after``, oldest first."""
        query = (
            "SELECT seq, at, model, digest, version, origin, target, reason, data FROM audit"
            " WHERE seq > ? AND (? IS NULL OR model = ?) ORDER BY seq"
        )
        with self._translated():
            rows = self._db.execute(query, (after, model, model)).fetchall()
        names = tuple(AuditRow.__dataclass_fields__)
        return [
            AuditRow(**dict(zip(names, (*row[:8], json.loads(row[8])), strict=True)))
            for row in rows
        ]

    def count_start(self, model: str, digest: str) -> int:
        """Count one more start of the candidate, durably, before its model is loaded.

        Returns:
            The starts so far including this one; 0 when ``digest`` is not on trial.
        """
        with self._transaction():
            self._db.execute(
                "UPDATE slot SET starts = starts + 1 WHERE model = ? AND candidate = ?"
                " AND state IN (?, ?)",
                (model, digest, *(state.value for state in ON_TRIAL)),
            )
            slot = self.slot(model)
        return slot.starts if slot.candidate == digest else 0

    def remember_release(self, digest: str, model: str, version: int) -> None:
        """Keep the human name of a digest."""
        with self._transaction():
            self._db.execute(
                "INSERT OR REPLACE INTO release VALUES (?,?,?)", (digest, model, version)
            )

    def version_of(self, digest: str) -> int:
        """The model version of a digest, 0 when unknown."""
        with self._translated():
            row = self._db.execute(
                "SELECT version FROM release WHERE digest = ?", (digest,)
            ).fetchone()
        return int(row[0]) if row else 0

    def ban(self, ban: Ban) -> None:
        """Ban a release on this device."""
        with self._transaction():
            self._db.execute(
                "INSERT OR REPLACE INTO ban VALUES (?,?,?,?,?)",
                (ban.model, ban.digest, ban.fingerprint, ban.reason, ban.at),
            )

    def unban(self, model: str, digest: str) -> bool:
        """Lift the bans of a release; False when there was none."""
        with self._transaction():
            cursor = self._db.execute(
                "DELETE FROM ban WHERE model = ? AND digest = ?", (model, digest)
            )
        return cursor.rowcount > 0

    def bans(self, model: str | None = None) -> list[Ban]:
        """All bans, oldest first."""
        with self._translated():
            rows = self._db.execute(
                "SELECT model, digest, fingerprint, reason, at FROM ban"
                " WHERE ? IS NULL OR model = ? ORDER BY at",
                (model, model),
            ).fetchall()
        return [Ban(*row) for row in rows]

    def seen(self, role: str) -> int:
        """The highest version of a TUF role ever accepted here, 0 at first."""
        with self._translated():
            row = self._db.execute("SELECT version FROM seen WHERE role = ?", (role,)).fetchone()
        return int(row[0]) if row else 0

    def remember_seen(self, versions: Mapping[str, int]) -> None:
        """Raise the highest versions seen; a lower value than the stored one is ignored."""
        with self._transaction():
            for role, version in versions.items():
                self._db.execute(
                    "INSERT INTO seen VALUES (?,?) ON CONFLICT (role) DO UPDATE SET"
                    " version = max(version, excluded.version)",
                    (role, version),
                )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._translated():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StorageError(
                f"{self.path}: {error}; check the disk's space and who owns the file"
            ) from error
