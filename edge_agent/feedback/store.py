"""One SQLite file: what inspectors said, true boxes, and the last frames' detections.

What people said is never dropped, and the newest counts; the ring of recent frames is bounded in
bytes and goes oldest first. The frame of a judgement is copied beside it as soon as it is found, so
the ring may turn. Written with ``synchronous=FULL``: what was taken survives SIGKILL and power
cuts. The agent and commands share the file.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from edge_agent.errors import StorageError, storage_errors
from edge_agent.feedback.frames import Box, Detected, FrameKey
from edge_agent.feedback.judgement import Judgement

SCHEMA_VERSION = 2
_SCHEMA = """
CREATE TABLE IF NOT EXISTS recent (
    id INTEGER PRIMARY KEY AUTOINCREMENT, camera TEXT NOT NULL, boot TEXT NOT NULL,
    first INTEGER NOT NULL, last INTEGER NOT NULL, data BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS recent_frame ON recent (boot, camera, first);
CREATE TABLE IF NOT EXISTS judgement (
    id INTEGER PRIMARY KEY AUTOINCREMENT, camera TEXT NOT NULL, boot TEXT NOT NULL,
    seq INTEGER NOT NULL, at REAL NOT NULL, verdict TEXT NOT NULL, name TEXT NOT NULL,
    actual TEXT NOT NULL, box TEXT NOT NULL, who TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS detected (
    camera TEXT NOT NULL, boot TEXT NOT NULL, seq INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (camera, boot, seq));
CREATE TABLE IF NOT EXISTS label (
    id INTEGER PRIMARY KEY AUTOINCREMENT, camera TEXT NOT NULL, boot TEXT NOT NULL,
    seq INTEGER NOT NULL, source TEXT NOT NULL, boxes TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS label_frame ON label (boot, camera, seq);
CREATE TABLE IF NOT EXISTS told (
    only INTEGER PRIMARY KEY CHECK (only = 1), judgement INTEGER NOT NULL, label INTEGER NOT NULL,
    detected INTEGER NOT NULL);
"""
_ROW_BYTES = 64  # SQLite's own per row, about


class Mark(NamedTuple):
    """How far the file has come: the last verdict, the last label, the frames known beside them."""

    judgement: int
    label: int
    detected: int


NOTHING = Mark(0, 0, 0)


class Store:
    """The file, opened; one thread at a time.

    Args:
        path: of the file; its folder must exist.

    Raises:
        StorageError: it cannot be opened, or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._translated(), storage_errors(path):
            self._db = sqlite3.connect(path, timeout=10, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
            if version not in (0, SCHEMA_VERSION):
                raise StorageError(
                    f"{path}: its schema is {version}, this program's is {SCHEMA_VERSION}; update"
                    " the older one, or move the file away"
                )
            self._db.executescript(_SCHEMA)
            self._db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def keep_recent(self, frames: Sequence[Detected], *, most_bytes: int) -> None:
        """Add frames of one camera, boot and release; the oldest ones go for them.

        Args:
            frames: in order of their numbers, at least one.
            most_bytes: of the whole ring.

        Raises:
            StorageError: nothing was kept.
        """
        first, last = frames[0].key, frames[-1].key
        row = (first.camera, first.boot, first.seq, last.seq, _pack(frames))
        with self._transaction():
            self._db.execute(
                "INSERT INTO recent (camera, boot, first, last, data) VALUES (?, ?, ?, ?, ?)", row
            )
            self._db.execute(
                "DELETE FROM recent WHERE id <= (SELECT max(id) FROM (SELECT id,"
                f" sum(length(data) + {_ROW_BYTES}) OVER (ORDER BY id DESC) AS size FROM recent)"
                " WHERE size > ?)",
                (most_bytes,),
            )

    def recent(self, key: FrameKey) -> Detected | None:
        """What was reported in a frame, if the ring still has it; raises `StorageError`."""
        with self._translated():
            rows = self._db.execute(
                "SELECT data FROM recent WHERE boot = ? AND camera = ? AND first <= ? AND last >= ?"
                " ORDER BY id DESC",
                (key.boot, key.camera, key.seq, key.seq),
            ).fetchall()
        for (data,) in rows:
            for frame in _unpack(data, key):
                if frame.key == key:
                    return frame
        return None

    def judge(self, judgement: Judgement, detected: Detected | None) -> None:
        """Keep what was said, and the frame where it is known; raises `StorageError`."""
        frame = judgement.frame
        box = "" if judgement.box is None else json.dumps(judgement.box)
        row = (
            *(frame.camera, frame.boot, frame.seq, judgement.at, judgement.verdict),
            *(judgement.name, judgement.actual, box, judgement.by),
        )
        with self._transaction():
            self._db.execute(
                "INSERT INTO judgement (camera, boot, seq, at, verdict, name, actual, box, who)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )
            if detected is not None:
                self._know(detected)

    def label(self, detected: Detected, truth: Sequence[Box], *, source: str) -> None:
        """Keep the true boxes of a frame; those that it had are overruled. Raises `StorageError`.

        The same boxes again are not kept again.
        """
        key = detected.key
        row = (key.camera, key.boot, key.seq)
        boxes = json.dumps([asdict(box) for box in truth])
        with self._transaction():
            newest = self._db.execute(
                "SELECT boxes FROM label WHERE camera = ? AND boot = ? AND seq = ?"
                " ORDER BY id DESC LIMIT 1",
                row,
            ).fetchone()
            if newest != (boxes,):
                self._db.execute(
                    "INSERT INTO label (camera, boot, seq, source, boxes) VALUES (?, ?, ?, ?, ?)",
                    (*row, source, boxes),
                )
            self._know(detected)

    def know(self, detected: Detected) -> None:
        """Keep a judged frame that was found later; raises `StorageError`."""
        with self._transaction():
            self._know(detected)

    def judgements(self) -> list[Judgement]:
        """Everything that was said, in the order of saying it; raises `StorageError`."""
        with self._translated():
            rows = self._db.execute(
                "SELECT camera, boot, seq, verdict, name, box, actual, who, at FROM judgement"
                " ORDER BY at, id"
            ).fetchall()
        return [
            Judgement(
                FrameKey(camera, boot, seq),
                verdict,
                name,
                tuple(json.loads(box)) if box else None,
                *rest,
            )
            for camera, boot, seq, verdict, name, box, *rest in rows
        ]

    def labels(self) -> tuple[dict[FrameKey, tuple[Box, ...]], int]:
        """Frame -> its newest true boxes, and how many are overruled; raises `StorageError`."""
        with self._translated():
            rows = self._db.execute(
                "SELECT camera, boot, seq, boxes FROM label ORDER BY id"
            ).fetchall()
        newest = {
            FrameKey(camera, boot, seq): tuple(Box(**box) for box in json.loads(boxes))
            for camera, boot, seq, boxes in rows
        }
        return newest, len(rows) - len(newest)

    def mark(self) -> Mark:
        """How far this file has come; raises `StorageError`."""
        with self._translated():
            row = self._db.execute(
                "SELECT (SELECT coalesce(max(id), 0) FROM judgement),"
                " (SELECT coalesce(max(id), 0) FROM label), (SELECT count(*) FROM detected)"
            ).fetchone()
        return Mark(*row)

    def told(self) -> Mark:
        """The mark whose figures were told last; raises `StorageError`."""
        with self._translated():
            row = self._db.execute("SELECT judgement, label, detected FROM told").fetchone()
        return Mark(*row) if row else NOTHING

    def note_told(self, mark: Mark) -> None:
        """Remember that a mark's figures were told; raises `StorageError`."""
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO told VALUES (1, ?, ?, ?)", mark)

    def known(self) -> dict[FrameKey, Detected]:
        """The frames that are kept beside what was said of them; raises `StorageError`."""
        with self._translated():
            rows = self._db.execute("SELECT camera, boot, seq, data FROM detected").fetchall()
        found: dict[FrameKey, Detected] = {}
        for camera, boot, seq, data in rows:
            key = FrameKey(camera, boot, seq)
            found |= {frame.key: frame for frame in _unpack(data, key)}
        return found

    def _know(self, detected: Detected) -> None:
        key = detected.key
        self._db.execute(
            "INSERT OR IGNORE INTO detected (camera, boot, seq, data) VALUES (?, ?, ?, ?)",
            (key.camera, key.boot, key.seq, _pack([detected])),
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
        except sqlite3.OperationalError as error:
            raise StorageError(f"{self.path}: {error}; check the disk and who owns it") from error
        except sqlite3.DatabaseError as error:
            raise StorageError(
                f"{self.path}: {error}; it is damaged: move it away, and what was said is lost"
            ) from error


def _pack(frames: Sequence[Detected]) -> bytes:
    """Frames of one camera, boot and release: 5 to 20 bytes per box."""
    head = frames[0]
    ids = {name: number for number, name in enumerate(head.classes)}
    document = {
        "model": head.model,
        "version": head.version,
        "classes": head.classes,
        "frames": [
            [frame.key.seq, round(frame.at, 3), [_row(box, ids) for box in frame.boxes]]
            for frame in frames
        ],
    }
    return zlib.compress(json.dumps(document, separators=(",", ":")).encode(), 3)


def _row(box: Box, ids: dict[str, int]) -> list[float]:
    sides = (round(side, 1) for side in (box.x0, box.y0, box.x1, box.y1))
    return [ids[box.name], round(box.score, 4), *sides]


def _unpack(data: bytes, key: FrameKey) -> Iterator[Detected]:
    document: dict[str, Any] = json.loads(zlib.decompress(data))
    classes = tuple(document["classes"])
    for seq, at, rows in document["frames"]:
        boxes = tuple(
            Box(classes[number], x0, y0, x1, y1, score) for number, score, x0, y0, x1, y1 in rows
        )
        frame = FrameKey(key.camera, key.boot, seq)
        yield Detected(frame, at, document["model"], document["version"], classes, boxes)
