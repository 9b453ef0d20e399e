"""The outbox's tables: made where they are missing, and looked through where they are not.

SQLite notices a damaged page, but neither another program's tables nor a bit that fell over inside
a value: it keeps a text where a number belongs. What is not as it was written is one error here.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

SCHEMA_VERSION = 2
_BUSY_S = 10.0
_WAL_BYTES = 4 << 20
_LARGEST = 1 << 53  # of an id or a counter: far from where 64 bits end
_SCHEMA = """
CREATE TABLE IF NOT EXISTS message (
    id INTEGER PRIMARY KEY AUTOINCREMENT, aside INTEGER NOT NULL DEFAULT 0,
    priority INTEGER NOT NULL, born REAL NOT NULL, suffix TEXT NOT NULL,
    retain INTEGER NOT NULL, payload BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS message_victims ON message (aside DESC, priority, id);
CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS life (
    one INTEGER PRIMARY KEY CHECK (one = 1), boot TEXT NOT NULL, seq INTEGER NOT NULL);
"""
_COLUMNS = {
    "message": {"id", "aside", "priority", "born", "suffix", "retain", "payload"},
    "counter": {"name", "value"},
    "life": {"one", "boot", "seq"},
}
_UNSOUND = f"""
SELECT 1 FROM message WHERE id > {_LARGEST} OR typeof(born) != 'real' OR typeof(suffix) != 'text'
    OR typeof(payload) != 'blob' OR aside NOT IN (0, 1) OR retain NOT IN (0, 1)
    OR typeof(priority) != 'integer'
UNION ALL SELECT 1 FROM counter
    WHERE typeof(name) != 'text' OR typeof(value) != 'integer' OR value NOT BETWEEN 0 AND {_LARGEST}
UNION ALL SELECT 1 FROM life
    WHERE typeof(boot) != 'text' OR typeof(seq) != 'integer' OR seq NOT BETWEEN 0 AND {_LARGEST}
LIMIT 1
"""


def open_tables(path: Path) -> sqlite3.Connection:
    """A connection to sound tables, in WAL mode; every row of theirs was read.

    Raises:
        sqlite3.OperationalError: the disk refuses, or somebody else holds the file.
        sqlite3.DatabaseError: what is there is damaged, or not an outbox of this version.
    """
    db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute(f"PRAGMA journal_size_limit={_WAL_BYTES}")
        _check_columns(db)
        db.executescript(_SCHEMA)
        db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        if db.execute(_UNSOUND).fetchone() is not None:
            raise sqlite3.DatabaseError("holds values that no outbox writes")
    except BaseException:
        db.close()
        raise
    return db


def _check_columns(db: sqlite3.Connection) -> None:
    if db.execute("PRAGMA user_version").fetchone()[0] not in (0, SCHEMA_VERSION):
        raise sqlite3.DatabaseError("another version's outbox")
    for table, wanted in _COLUMNS.items():
        found = {row[1] for row in db.execute(f"PRAGMA table_info({table})")}
        if found and found != wanted:
            raise sqlite3.DatabaseError(f"another program's table {table}")
