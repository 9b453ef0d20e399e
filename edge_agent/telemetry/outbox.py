"""Telemetry that waits on disk until the broker has it.

One SQLite file in WAL mode. A message is deleted only when its receiver said so; a process that is
killed between those two moments sends it again, and consumers remove the duplicate by
``(device, boot, seq)``. The file is bounded: when it is full, the oldest metrics go first and
events last, and what went is counted.

``synchronous=FULL``: what `put` returned from survives SIGKILL and power cuts. Measured on an SSD,
that is 3.7 ms for a window of four messages against 0.35 ms with NORMAL; a window comes every ten
seconds, and the last event before a power cut is the one that people ask for. The cursor of the
journal is written in the same transaction as the event made from it, so that each transition is
told exactly once.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge_agent.errors import StorageError, storage_errors

SCHEMA_VERSION = 1
_OVERHEAD_BYTES = 64  # SQLite's own per row, measured roughly
_SCHEMA = """
CREATE TABLE IF NOT EXISTS message (
    id INTEGER PRIMARY KEY AUTOINCREMENT, priority INTEGER NOT NULL, suffix TEXT NOT NULL,
    retain INTEGER NOT NULL, payload BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS message_priority ON message (priority, id);
CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
"""


@dataclass(frozen=True)
class Parcel:
    """A message ready to go: topic below the device and finished bytes."""

    suffix: str
    payload: bytes
    retain: bool = False
    priority: int = 0


@dataclass(frozen=True)
class Waiting:
    """A parcel with its place in the queue."""

    id: int
    parcel: Parcel


class Outbox:
    """The queue on disk. Threads may share one; only one receiver takes from it."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        """Open or create the file.

        Args:
            path: the SQLite file; its folder must exist.
            max_bytes: bound on what waits (payloads and rows, not SQLite's free pages).

        Raises:
            StorageError: when it cannot be opened; a damaged file is put aside and begun anew,
                because telemetry must never keep an agent from running.
        """
        self.path = path
        self.max_bytes = max_bytes
        self._lock = threading.RLock()
        try:
            self._open()
        except sqlite3.OperationalError as error:
            raise StorageError(f"{path}: {error}; check the disk and who owns it") from error
        except sqlite3.DatabaseError:
            with self._translated():
                self._put_aside()
                self._open()

    def _open(self) -> None:
        self._db = sqlite3.connect(
            self.path, timeout=10, isolation_level=None, check_same_thread=False
        )
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_SCHEMA)
        self._db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        # Reads every row, so a page that is damaged anywhere shows here.
        rows = self._db.execute("SELECT count(*), total(length(payload)) FROM message")
        count, size = rows.fetchone()
        self._count = int(count)
        self._bytes = int(size) + self._count * _OVERHEAD_BYTES

    def _put_aside(self) -> None:
        self._db.close()
        with storage_errors(self.path):
            self.path.replace(self.path.with_name(self.path.name + ".damaged"))
            for suffix in ("-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    def put(self, parcels: Iterable[Parcel], *, cursor: tuple[str, int] | None = None) -> None:
        """Append parcels, in one transaction with an optional cursor.

        Args:
            parcels: what to keep, in order.
            cursor: ``(name, value)`` to remember together with them, see `cursor`.

        Raises:
            StorageError: nothing was kept.
        """
        batch = list(parcels)
        with self._lock, self._transaction():
            self._db.executemany(
                "INSERT INTO message (priority, suffix, retain, payload) VALUES (?,?,?,?)",
                [(p.priority, p.suffix, int(p.retain), p.payload) for p in batch],
            )
            count = self._count + len(batch)
            size = self._bytes + sum(map(_size, batch))
            if cursor is not None:
                self._set(*cursor)
            if size > self.max_bytes:
                dropped, freed = self._make_room(size - self.max_bytes)
                count, size = count - dropped, size - freed
            self._count, self._bytes = count, size

    def _make_room(self, excess: int) -> tuple[int, int]:
        victims: list[tuple[int]] = []
        freed = 0
        query = "SELECT id, length(payload) FROM message ORDER BY priority, id"
        for row_id, length in self._db.execute(query):
            if freed >= excess:
                break
            victims.append((row_id,))
            freed += length + _OVERHEAD_BYTES
        self._db.executemany("DELETE FROM message WHERE id = ?", victims)
        self._set("dropped", self._get("dropped") + len(victims))
        return len(victims), freed

    def waiting(self, limit: int, *, after: int = 0) -> list[Waiting]:
        """The oldest messages with an id above ``after``, oldest first."""
        with self._lock, self._translated():
            rows = self._db.execute(
                "SELECT id, suffix, payload, retain, priority FROM message WHERE id > ?"
                " ORDER BY id LIMIT ?",
                (after, limit),
            ).fetchall()
        return [Waiting(row[0], Parcel(row[1], row[2], bool(row[3]), row[4])) for row in rows]

    def done(self, ids: Sequence[int]) -> None:
        """Forget messages that the receiver has; unknown ids are ignored."""
        count, size = 0, 0
        with self._lock, self._transaction():
            for row_id in ids:
                row = self._db.execute(
                    "DELETE FROM message WHERE id = ? RETURNING length(payload)", (row_id,)
                ).fetchone()
                if row is not None:
                    count, size = count + 1, size + row[0] + _OVERHEAD_BYTES
            self._count, self._bytes = self._count - count, self._bytes - size

    def cursor(self, name: str) -> int:
        """The remembered value of `put`'s cursor, 0 at first."""
        with self._lock, self._translated():
            return self._get(name)

    @property
    def dropped(self) -> int:
        """Messages ever dropped because the outbox was full."""
        return self.cursor("dropped")

    def __len__(self) -> int:
        return self._count

    @property
    def size_bytes(self) -> int:
        """What waits, in bytes, as `max_bytes` counts it."""
        return self._bytes

    def close(self) -> None:
        """Close the file; what waits stays for the next start."""
        with self._lock:
            self._db.close()

    def _get(self, name: str) -> int:
        row = self._db.execute("SELECT value FROM counter WHERE name = ?", (name,)).fetchone()
        return int(row[0]) if row else 0

    def _set(self, name: str, value: int) -> None:
        self._db.execute("INSERT OR REPLACE INTO counter VALUES (?,?)", (name, value))

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
            raise StorageError(f"{self.path}: {error}; check the disk's space") from error


def _size(parcel: Parcel) -> int:
    return len(parcel.payload) + _OVERHEAD_BYTES
