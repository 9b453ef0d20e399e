"""A command from the fleet: what it may say, and which one was obeyed already.

A broker is never trusted to deploy, so a command can only ask for five things: ``sync`` (look at
the repository now; what to run is read from signed metadata), ``snapshot`` and ``restart-source``
of a camera, ``set-interval`` of the metrics for a while, and ``feedback``: keep what an inspector
says of a frame. It has an id (the topic's last level),
says when it was issued and when it expires, and is obeyed once: the ids of those that have not
expired are kept in a file, and what expires no later than one that was forgotten is refused, so
that setting the clock back brings nothing back.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from edge_agent.atomic import write_atomic
from edge_agent.checked import Fields
from edge_agent.errors import OutpostError, StorageError
from edge_agent.feedback.judgement import Judgement
from edge_agent.feedback.wire import read_judgement
from edge_agent.metrics import COMMAND_KINDS, DEVICE_PATTERN, PAYLOAD_VERSION

ID_PATTERN = r"[A-Za-z0-9_-]{1,64}"
FEEDBACK = "feedback"
PAYLOAD_MOST = 4096
LIFETIME_MOST_S = 86_400.0
AHEAD_MOST_S = 300.0  # the issuer's clock may be so far ahead of ours
REMEMBERED_MOST = 1000


class CommandRefused(OutpostError):
    """A command that is not obeyed, with the reason."""


class AlreadyObeyed(CommandRefused):
    """The same command again: MQTT may deliver it twice. Its first answer stands."""


@dataclass(frozen=True)
class Command:
    """A command that is well formed and has not expired.

    Attributes:
        id: from the topic.
        kind: one of `edge_agent.metrics.COMMAND_KINDS`.
        issued: by the issuer's clock, seconds since the epoch.
        expires: the same.
        camera: for ``snapshot`` and ``restart-source``, else "".
        window_s: for ``set-interval``, else 0.
        for_s: how long that lasts.
        judgement: for ``feedback``, said when the command was issued; else None.
    """

    id: str
    kind: str
    issued: float
    expires: float
    camera: str = ""
    window_s: float = 0.0
    for_s: float = 0.0
    judgement: Judgement | None = None


def parse(name: str, payload: bytes, *, retained: bool, now: float) -> Command:
    """Read a command. Pure.

    Args:
        name: the topic's last level, of the form `ID_PATTERN`.
        payload: its bytes.
        retained: whether the broker had kept it.
        now: this device's clock, seconds since the epoch.

    Raises:
        CommandRefused: with every fault.
    """
    if retained:
        raise CommandRefused("commands are never retained; publish it without the retain flag")
    if len(payload) > PAYLOAD_MOST:
        raise CommandRefused(f"{len(payload)} bytes, at most {PAYLOAD_MOST} are read")
    try:
        fields = Fields(json.loads(payload))
    except (ValueError, RecursionError):
        raise CommandRefused("not JSON") from None
    if fields.integer("v") != PAYLOAD_VERSION:
        fields.fault("v", f"should be {PAYLOAD_VERSION}")
    kind = fields.text("command", choices=COMMAND_KINDS)
    issued = fields.number("issued")
    command = Command(
        id=name,
        kind=kind,
        issued=issued,
        expires=fields.number("expires"),
        camera=_camera(fields, kind),
        window_s=_interval(fields, kind, "window_s"),
        for_s=_interval(fields, kind, "for_s", 600.0),
        judgement=read_judgement(fields, min(issued, now)) if kind == FEEDBACK else None,
    )
    fields.close()
    _check_times(fields, command, now)
    if fields.faults:
        raise CommandRefused("; ".join(fields.faults))
    return command


def _camera(fields: Fields, kind: str) -> str:
    if kind not in ("snapshot", "restart-source"):
        return ""
    return fields.text("camera", pattern=DEVICE_PATTERN)


def _interval(fields: Fields, kind: str, name: str, default: float | None = None) -> float:
    if kind != "set-interval":
        return 0.0
    if default is None:
        return fields.number(name, least=1.0, most=3600.0)
    return fields.number(name, default, least=1.0, most=3600.0)


def _check_times(fields: Fields, command: Command, now: float) -> None:
    if command.issued > now + AHEAD_MOST_S:
        fields.fault("issued", f"is {command.issued - now:.0f} s ahead of this device's clock")
    if command.expires <= now:
        fields.fault("expires", f"was {now - command.expires:.0f} s ago by this device's clock")
    if not 0 < command.expires - command.issued <= LIFETIME_MOST_S:
        fields.fault("expires", f"should be at most {LIFETIME_MOST_S:.0f} s after issued")


@dataclass
class Book:
    """Which commands were obeyed, in a small file that is written before each is carried out.

    Attributes:
        path: the file.
        expiries: id -> when it expires.
        floor: what expires before this is refused, because ids up to here are forgotten.
    """

    path: Path
    expiries: dict[str, float] = field(default_factory=dict)
    floor: float = 0.0

    @classmethod
    def open(cls, path: Path) -> Book:
        """Read the file; one that is not there is an empty book.

        Raises:
            StorageError: it is damaged: what was obeyed is not known any more.
        """
        try:
            fields = Fields(json.loads(path.read_bytes()))
        except FileNotFoundError:
            return cls(path)
        except (OSError, ValueError, RecursionError) as error:
            raise _unreadable(path, str(error)) from None
        expiries = fields.table("expiries")
        book = cls(
            path,
            {name: expiries.number(name) for name in expiries.names()},
            fields.number("floor", least=0.0),
        )
        fields.close()
        if fields.faults:
            raise _unreadable(path, "; ".join(fields.faults[:3]))
        return book

    def enter(self, command: Command, now: float) -> None:
        """Note that a command is about to be carried out; durable when this returns.

        Raises:
            AlreadyObeyed: so it was.
            CommandRefused: too many are remembered, or it may be one that was forgotten.
            StorageError: it cannot be written.
        """
        if command.id in self.expiries:
            raise AlreadyObeyed("was obeyed before; give a new command a new id")
        if command.expires <= self.floor:
            raise CommandRefused(
                f"may have been obeyed before: what expires within {self.floor - now:.0f} s is"
                " forgotten already; was this device's clock set back?"
            )
        expiries = {name: at for name, at in self.expiries.items() if at > now}
        forgotten = [at for at in self.expiries.values() if at <= now]
        if len(expiries) >= REMEMBERED_MOST:
            raise CommandRefused(f"{REMEMBERED_MOST} commands have not expired yet; wait")
        expiries[command.id] = command.expires
        floor = max([self.floor, *forgotten])
        document = {"expiries": expiries, "floor": floor}
        write_atomic(self.path, json.dumps(document).encode(), mode=0o600)
        self.expiries, self.floor = expiries, floor


def _unreadable(path: Path, why: str) -> StorageError:
    return StorageError(f"{path}: cannot be read ({why}), so no command is obeyed; remove it")


def is_id(name: str) -> bool:
    """Whether a topic's last level can be a command's id."""
    return re.fullmatch(ID_PATTERN, name) is not None
