"""What the alerts must remember over a restart, and the notes that people leave for them.

``<data>/alerts.json`` is replaced at each change. ``edge-agent alerts ack`` is another process, so
it leaves ``<data>/acknowledged/<number>.json``, which the agent takes away when it has read it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edge_agent.atomic import make_dirs, write_atomic
from edge_agent.checked import Fields, canonical_json
from edge_agent.errors import StorageError, storage_errors
from edge_agent.policy.alerts import Alert
from edge_agent.policy.rules import SEVERITIES

SCHEMA_VERSION = 1
MAX_BYTES = 4 << 20
BY_MOST = 64
log = logging.getLogger(__name__)

Key = tuple[str, str]
"""A rule's name and a subject's."""


@dataclass(frozen=True)
class Remembered:
    """What stood in the file.

    Attributes:
        last: the highest number that was ever given.
        alerts: the active ones.
        cleared: when the last alert of a rule and subject was cleared, in wall-clock seconds.
        references: to which the input check was switched for good, by kind and name of a subject.
    """

    last: int = 0
    alerts: tuple[Alert, ...] = ()
    cleared: Mapping[Key, float] = field(default_factory=dict)
    references: Mapping[tuple[str, str], str] = field(default_factory=dict)


class Memory:
    """The file and the notes beside it.

    Args:
        path: ``alerts.json``; its folder must exist when something is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes = path.with_name("acknowledged")

    def read(self) -> Remembered:
        """What was written last; nothing when there is no file.

        Raises:
            StorageError: when it cannot be read or is damaged.
        """
        try:
            with storage_errors(self.path):
                data = self.path.read_bytes()
        except FileNotFoundError:
            return Remembered()
        except OSError as error:
            raise StorageError(f"{self.path}: {error.strerror}") from error
        return _parse(data, self.path)

    def begin(self) -> Remembered:
        """The same for the agent; a damaged file is put aside, because alerts must go on."""
        try:
            return self.read()
        except StorageError as error:
            log.error("%s; alerts begin anew", error)
            try:
                self.path.replace(self.path.with_name(self.path.name + ".damaged"))
            except OSError as refusal:
                log.error("%s: %s", self.path, refusal.strerror)
            return Remembered()

    def write(self, remembered: Remembered) -> None:
        """Replace the file; raises `StorageError`."""
        cleared = [[*key, round(at, 3)] for key, at in sorted(remembered.cleared.items())]
        document = {
            "schema_version": SCHEMA_VERSION,
            "last": remembered.last,
            "alerts": [vars(alert) | {"done": list(alert.done)} for alert in remembered.alerts],
            "cleared": cleared,
            "references": [[*key, name] for key, name in sorted(remembered.references.items())],
        }
        write_atomic(self.path, canonical_json(document))

    def leave_note(self, number: int, by: str, at: float) -> None:
        """Say that somebody took note of an alert; raises `StorageError`."""
        make_dirs(self.notes)
        note = {"by": by[:BY_MOST], "at": at}
        write_atomic(self.notes / f"{number}.json", canonical_json(note))

    def take_notes(self) -> dict[int, tuple[str, float]]:
        """Number -> who and when, of all notes that lie there; they are gone afterwards."""
        try:
            paths = sorted(self.notes.glob("*.json"))
        except OSError:
            return {}
        taken = {}
        for path in paths:
            try:
                data = path.read_bytes()
                path.unlink()
                fields = Fields(json.loads(data) if len(data) <= MAX_BYTES else None)
                taken[int(path.stem)] = (fields.text("by", ""), fields.number("at", 0.0))
            except (OSError, ValueError, RecursionError) as error:
                log.error("%s: %s", path, error)
        return taken


def _parse(data: bytes, path: Path) -> Remembered:
    try:
        document = json.loads(data) if len(data) <= MAX_BYTES else None
    except (ValueError, RecursionError):
        document = None
    fields = Fields(document)
    if document is not None and fields.integer("schema_version") != SCHEMA_VERSION:
        fields.fault("schema_version", f"only {SCHEMA_VERSION} is known here")
    alerts = tuple(_alert(item) for item in fields.tables("alerts"))
    rows = document.get("cleared", []) if isinstance(document, dict) else []
    cleared: dict[Key, float] = {}
    try:
        cleared = {(str(rule), str(subject)): float(at) for rule, subject, at in rows}
    except (TypeError, ValueError, OverflowError):
        fields.fault("cleared", "should hold lists of a rule, a subject and seconds")
    references = _references(fields, document)
    last = max([fields.integer("last", 0, least=0), *(alert.number for alert in alerts)])
    if fields.faults:
        raise StorageError(f"{path}: damaged: {'; '.join(fields.faults[:3])}")
    return Remembered(last, alerts, cleared, references)


def _references(fields: Fields, document: object) -> dict[tuple[str, str], str]:
    rows = document.get("references", []) if isinstance(document, dict) else []
    try:
        return {(str(kind), str(subject)): str(name) for kind, subject, name in rows}
    except (TypeError, ValueError):
        fields.fault("references", "should hold lists of a kind, a subject and a name")
        return {}


def _alert(fields: Fields) -> Alert:
    return Alert(
        number=fields.integer("number", least=1),
        rule=fields.text("rule"),
        subject=fields.text("subject"),
        kind=fields.text("kind"),
        severity=fields.text("severity", choices=SEVERITIES),
        raised_at=fields.number("raised_at"),
        cause=fields.text("cause", ""),
        text=fields.text("text", ""),
        acknowledged_at=fields.number("acknowledged_at", 0.0),
        acknowledged_by=fields.text("acknowledged_by", ""),
        done=fields.texts("done", ()),
        release=fields.text("release", ""),
    )
