"""Who this device is, its broker and its release repository: ``[device] [mqtt] [repository]``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from edge_agent.checked import Fields, nearest
from edge_agent.layout import Layout
from edge_agent.metrics import COMMAND_KINDS as KINDS
from edge_agent.metrics import DEVICE_PATTERN


@dataclass(frozen=True)
class Device:
    """``[device]``: who this is and where its files lie."""

    id: str
    tags: dict[str, Any]
    layout: Layout


@dataclass(frozen=True)
class Mqtt:
    """``[mqtt]``: the broker; ``url`` is ``mqtt://host:port`` or ``mqtts://…``.

    Attributes:
        commands: kinds of command that this device obeys; none hears none.
    """

    url: str
    ca: Path | None
    cert: Path | None
    key: Path | None
    username: str
    password_file: Path | None
    keepalive_s: int
    commands: tuple[str, ...] = ()


@dataclass(frozen=True)
class Repository:
    """``[repository]``: where releases come from and the root of trust that is embedded."""

    url: str
    root: Path
    poll_s: float


def parse_device(fields: Fields, folder: Path) -> Device:
    """Read ``[device]``; faults are noted in ``fields``."""
    layout = Layout(
        data=folder / fields.text("data", "/var/lib/outpost"),
        run=folder / fields.text("run", "/run/outpost"),
    )
    device = Device(fields.text("id", pattern=DEVICE_PATTERN), fields.mapping("tags"), layout)
    fields.close()
    return device


def parse_mqtt(fields: Fields, folder: Path) -> Mqtt:
    """Read ``[mqtt]``; faults are noted in ``fields``."""
    mqtt = Mqtt(
        url=_url(fields, ("mqtt", "mqtts")),
        ca=_path(fields, "ca", folder),
        cert=_path(fields, "cert", folder),
        key=_path(fields, "key", folder),
        username=fields.text("username", ""),
        password_file=_path(fields, "password_file", folder),
        keepalive_s=fields.integer("keepalive_s", 30, least=5, most=3600),
        commands=_commands(fields),
    )
    fields.close()
    return mqtt


def parse_repository(fields: Fields, folder: Path) -> Repository:
    """Read ``[repository]``; faults are noted in ``fields``."""
    repository = Repository(
        url=_url(fields, ("https", "http", "file")),
        root=folder / fields.text("root", "root.json"),
        poll_s=fields.number("poll_s", 60.0, least=0.1),
    )
    fields.close()
    return repository


def _url(fields: Fields, schemes: tuple[str, ...]) -> str:
    url = fields.text("url")
    if url and urlsplit(url).scheme not in schemes:
        fields.fault("url", f'"{url}" should begin with one of {", ".join(schemes)}://')
    return url


def _commands(fields: Fields) -> tuple[str, ...]:
    commands = fields.texts("commands", KINDS)
    for name in commands:
        if name not in KINDS:
            known = f'"{name}" is not one of {", ".join(KINDS)}'
            fields.fault("commands", known + nearest(name, KINDS))
    return commands


def _path(fields: Fields, name: str, folder: Path) -> Path | None:
    value = fields.text(name, None) if fields.has(name) else ""
    return folder / value if value else None
