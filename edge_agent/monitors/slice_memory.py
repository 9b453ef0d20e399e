"""The slices of the last day on disk: ``<data>/slices/<model>/<digest>.json`` (docs/formats.md).

Written at most every ten minutes, and when the agent or the release ends: a kill costs ten minutes
of a day. Hours that are over do not change, so a snapshot copies the present one only, and the
bytes are made by whoever goes to the disk.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_agent.atomic import make_dirs, write_atomic
from edge_agent.checked import Fields, canonical_json
from edge_agent.clerk import Disk
from edge_agent.errors import StorageError, storage_errors
from edge_agent.monitors.slices import Hour, SliceCounts, SliceHistory

SCHEMA_VERSION = 1
SAVE_S = 600.0
KEPT = 4
"""Releases of a model whose slices are kept."""
_MOST_BYTES = 8 << 20
_MOST = 2**53
log = logging.getLogger(__name__)


class SliceMemory:
    """Restores a history and keeps it.

    Args:
        path: of the file; a damaged one is told and begun anew.
        history: of a release, empty.
        disk: who writes.
        clock: seconds that never step.
        wall: wall-clock seconds; what is older than a day by it is left out.
    """

    def __init__(
        self,
        path: Path,
        history: SliceHistory,
        disk: Disk,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._history = history
        self._disk = disk
        self._clock = clock
        self._due = clock() + SAVE_S
        self._refused = ""
        try:
            hours = read(path, history.classes)
        except StorageError as error:
            log.error("%s; slices are counted anew", error)
            hours = []
        oldest = int(wall() // 3600) - SliceHistory.HOURS
        history.restore([hour for hour in hours if hour.number > oldest])

    def window(self) -> None:
        """A window was counted; saves when it is time."""
        if self._clock() >= self._due:
            self.save()

    def save(self) -> None:
        """Have the history written as it is now."""
        self._due = self._clock() + SAVE_S
        hours, classes = self._history.snapshot(), self._history.classes
        self._disk.do(f"slices {self._path}", lambda: self._write(hours, classes))

    def _write(self, hours: Sequence[Hour], classes: Sequence[str]) -> None:
        """An errand."""
        try:
            write(self._path, hours, classes)
            self._refused = ""
        except StorageError as error:
            if str(error) != self._refused:
                log.error("%s; a restart will count slices anew", error)
            self._refused = str(error)


def write(path: Path, hours: Sequence[Hour], classes: Sequence[str]) -> None:
    """Replace the file; those of long gone releases go. Raises `StorageError`."""
    make_dirs(path.parent)
    write_atomic(path, canonical_json(document_of(hours, classes)))
    with storage_errors(path.parent):
        others = sorted(path.parent.glob("*.json"), key=lambda one: one.stat().st_mtime_ns)
        for old in others[:-KEPT]:
            old.unlink()


def document_of(hours: Sequence[Hour], classes: Sequence[str]) -> dict[str, Any]:
    """The JSON form."""
    return {
        "schema_version": SCHEMA_VERSION,
        "classes": list(classes),
        "hours": [
            {
                "number": hour.number,
                "local_hour": hour.local_hour,
                "cameras": [_camera(name, counts) for name, counts in hour.cameras.items()],
            }
            for hour in hours
        ],
    }


def _camera(name: str, counts: SliceCounts) -> Mapping[str, Any]:
    return {
        "camera": name,
        "frames": counts.frames,
        "empty": counts.empty,
        "holding": counts.holding.tolist(),
        "boxes": counts.boxes.tolist(),
    }


def read(path: Path, classes: Sequence[str]) -> list[Hour]:
    """The hours of a file, oldest first; none when there is no file.

    Raises:
        StorageError: naming the file and every fault in it.
    """
    try:
        with storage_errors(path):
            data = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error
    try:
        document = json.loads(data) if len(data) <= _MOST_BYTES else None
    except (ValueError, RecursionError):
        document = None
    fields = Fields(document)
    hours = _parse(fields, classes)
    if fields.faults:
        raise StorageError(f"{path}: {'; '.join(fields.faults[:3])}")
    return hours


def _parse(fields: Fields, classes: Sequence[str]) -> list[Hour]:
    if fields.integer("schema_version") != SCHEMA_VERSION:
        fields.fault("schema_version", f"only {SCHEMA_VERSION} is known here")
    if fields.texts("classes") != tuple(classes):
        fields.fault("classes", "are not the model's")
    tables = fields.tables("hours")
    if len(tables) > SliceHistory.HOURS:
        fields.fault("hours", f"has {len(tables)} entries, at most {SliceHistory.HOURS} fit")
    hours = [_hour(table, len(classes)) for table in tables]
    fields.close()
    return hours


def _hour(fields: Fields, classes: int) -> Hour:
    hour = Hour(
        fields.integer("number", least=0, most=_MOST),
        fields.integer("local_hour", least=0, most=23),
    )
    for one in fields.tables("cameras"):
        counts = SliceCounts(
            classes,
            one.integer("frames", least=0, most=_MOST),
            one.integer("empty", least=0, most=_MOST),
        )
        name = one.text("camera")
        for part in ("holding", "boxes"):
            values = np.asarray(one.numbers(part))
            if values.shape != (classes,) or (values < 0).any() or (values > _MOST).any():
                one.fault(part, f"should hold {classes} counts")
            else:
                getattr(counts, part)[:] = values
        if name in hour.cameras:
            one.fault("camera", f'"{name}" is there twice')
        hour.cameras[name] = counts
        one.close()
    fields.close()
    return hour
