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
        url=_broker(fields),
        ca=_path(fields, "ca", folder),
        cert=_path(fields, "cert", folder),
        key=_path(fields, "key", folder),
        username=fields.text("username", ""),
        password_file=_path(fields, "password_file", folder),
        keepalive_s=fields.integer("keepalive_s", 30, least=5, most=3600),
        commands=_commands(fields),
    )
    _check_credentials(fields, mqtt)
    fields.close()
    return mqtt


def _broker(fields: Fields) -> str:
    """The broker's address: a host, perhaps a port, and nothing that would be left out."""
    url = fields.text("url")
    form = "should be mqtt://HOST:PORT or mqtts://HOST:PORT"
    try:
        parts = urlsplit(url)
        whole = parts.hostname is not None and parts.port != 0
    except ValueError:
        parts, whole = urlsplit(""), False
    if not url:
        return url
    if parts.username is not None or parts.password is not None:
        # Not repeated: what stands there is a secret, and faults are logged.
        fields.fault("url", f"{form}; the user goes into username, the password into password_file")
        return ""
    if not whole or parts.scheme not in ("mqtt", "mqtts"):
        fields.fault("url", f'"{url}" {form}')
    elif parts.path.strip("/") or parts.query or parts.fragment:
        fields.fault("url", f'"{url}" {form}, without anything behind it')
    return url


def _check_credentials(fields: Fields, mqtt: Mqtt) -> None:
    """What was meant to protect the connection, or to open it, must not be left out in silence."""
    if mqtt.url.lower().startswith("mqtt:"):
        for name, path in (("ca", mqtt.ca), ("cert", mqtt.cert), ("key", mqtt.key)):
            if path is not None:
                fields.fault(name, "is for TLS, and url is without it; write mqtts://")
    if mqtt.key is not None and mqtt.cert is None:
        fields.fault("key", "is there without cert, the certificate that it belongs to")
    if mqtt.password_file is not None and not mqtt.username:
        fields.fault("password_file", "is there without username")


def parse_repository(fields: Fields, folder: Path) -> Repository:
    """Read ``[repository]``; faults are noted in ``fields``."""
    repository = Repository(
        url=_url(fields, ("https", "http", "file")),
        root=folder / fields.text("root", "root.json"),
        poll_s=fields.number("poll_s", 60.0, least=0.1, most=86400.0),
    )
    fields.close()
    return repository


def _url(fields: Fields, schemes: tuple[str, ...]) -> str:
    url = fields.text("url")
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        scheme = ""
    if url and scheme not in schemes:
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
