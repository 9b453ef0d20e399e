"""The memory on disk: one small JSON document, replaced in one step, with a lock beside it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from builder.watch.rules import STATUSES, Memory
from edge_agent.atomic import make_dirs, write_atomic
from edge_agent.checked import Fields, canonical_json
from edge_agent.errors import StorageError, UsageError, storage_errors

SCHEMA_VERSION = 1


def load(path: Path) -> Memory:
    """Read the memory; an empty one when there is no file.

    Raises:
        StorageError: the file is damaged; naming every fault.
    """
    try:
        with storage_errors(path):
            document = json.loads(path.read_bytes())
    except FileNotFoundError:
        return Memory()
    except (ValueError, RecursionError):
        raise StorageError(f"{path}: is not JSON; delete it to begin anew") from None
    fields = Fields(document)
    memory = _read(fields)
    if fields.faults:
        raise StorageError(f"{path}: {'; '.join(fields.faults)}; delete it to begin anew")
    return memory


def _read(fields: Fields) -> Memory:
    fields.integer("schema_version", least=SCHEMA_VERSION, most=SCHEMA_VERSION)
    status = fields.text("status", choices=STATUSES)
    memory = Memory(
        version=fields.integer("version", least=0),
        status=next((one for one in STATUSES if one == status), ""),
        attempts=fields.integer("attempts", least=0),
        retry_at=fields.number("retry_at", least=0),
        reason=fields.text("reason"),
        outages=fields.integer("outages", least=0),
        lost=fields.boolean("lost"),
        untagged=_untagged(fields),
    )
    fields.close()
    return memory


def _untagged(fields: Fields) -> dict[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = {}
    for version, tags in fields.mapping("untagged").items():
        plain = isinstance(tags, dict) and all(isinstance(one, str) for one in tags.values())
        if not (version.isdecimal() and plain):
            fields.fault("untagged", f"{version!r} should be a version with a table of texts")
        else:
            found[int(version)] = tags
    return found


def save(path: Path, memory: Memory) -> None:
    """Write the memory durably; raises `StorageError`."""
    document: dict[str, Any] = {"schema_version": SCHEMA_VERSION, **asdict(memory)}
    document["untagged"] = {str(number): tags for number, tags in memory.untagged.items()}
    write_atomic(path, canonical_json(document))


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the lock beside a memory.

    Raises:
        UsageError: another process holds it.
    """
    make_dirs(path.parent)
    lock = path.with_suffix(".lock")
    with storage_errors(lock):
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise UsageError(
            f"{lock}: another watch is at work here; stop it, or give another --work"
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)
