"""How often the agent was started on this device, and how often it did not end by itself.

Counted in a small file before anything else is done, so that what kills the process at its start is
seen in the figures of the process after it.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from edge_agent.atomic import write_atomic
from edge_agent.checked import Fields, canonical_json
from edge_agent.errors import StorageError, storage_errors
from edge_agent.telemetry.totals import start_totals

SCHEMA_VERSION = 1
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tally:
    """What the file holds.

    Attributes:
        starts: of the agent, this one included.
        unclean: of them, those that ended by a kill, a crash or a power cut.
        running: whether the last one has not ended.
    """

    starts: int = 0
    unclean: int = 0
    running: bool = False


def started(before: Tally) -> Tally:
    """The tally once another start was made. Pure."""
    return Tally(before.starts + 1, before.unclean + before.running, True)


class Starts:
    """Counts this start and, with `end`, its clean end; a disk that refuses leaves no figures.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tally: Tally | None = started(_read(path))
        self._write()

    def totals(self) -> dict[str, int | float]:
        """Counters for ``up/metrics/system``; none where they could not be kept."""
        if self._tally is None:
            return {}
        return start_totals(self._tally.starts, self._tally.unclean)

    def end(self) -> None:
        """This run ends as it should."""
        if self._tally is not None:
            self._tally = replace(self._tally, running=False)
            self._write()

    def _write(self) -> None:
        assert self._tally is not None
        try:
            write_atomic(
                self._path,
                canonical_json({"schema_version": SCHEMA_VERSION, **asdict(self._tally)}),
            )
        except (StorageError, OSError) as error:
            log.error("starts are not counted: %s", error)
            self._tally = None


def _read(path: Path) -> Tally:
    """The tally so far; a damaged file is begun anew, which loses a figure and nothing else."""
    try:
        with storage_errors(path):
            data = path.read_bytes()
    except FileNotFoundError:
        return Tally()
    except (StorageError, OSError) as error:
        log.warning("%s", error)
        return Tally()
    try:
        fields = Fields(json.loads(data))
    except (ValueError, RecursionError):
        fields = Fields(None)
    version = fields.integer("schema_version")
    tally = Tally(
        fields.integer("starts", least=0),
        fields.integer("unclean", least=0),
        fields.boolean("running"),
    )
    fields.close()
    if fields.faults or version != SCHEMA_VERSION:
        log.warning("%s: damaged; starts are counted anew", path)
        return Tally()
    return tally
