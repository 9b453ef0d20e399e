"""Telemetry for others' programs: ``[prometheus]``, ``[homeassistant]`` and ``[log]``."""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.checked import Fields
from edge_agent.config.page import Address

LOG_FORMATS = ("text", "json")


@dataclass(frozen=True)
class Prometheus:
    """``[prometheus]``: where ``/metrics`` is served; None for nowhere."""

    address: Address | None


@dataclass(frozen=True)
class HomeAssistant:
    """``[homeassistant]``: whether the device announces itself, and below which topic."""

    enabled: bool
    prefix: str


@dataclass(frozen=True)
class Log:
    """``[log]``: one line per record on stderr, as text or as JSON in ECS names."""

    format: str


def parse_prometheus(fields: Fields) -> Prometheus:
    """Read ``[prometheus]``; faults are noted in ``fields``."""
    text, address = fields.text("address", ""), None
    try:
        address = Address.parse(text) if text else None
    except ValueError as error:
        fields.fault("address", str(error))
    if address is not None and not address.loopback:
        fields.fault("address", f'"{text}" can be reached from elsewhere; use 127.0.0.1:9464')
    fields.close()
    return Prometheus(address)


def parse_homeassistant(fields: Fields) -> HomeAssistant:
    """Read ``[homeassistant]``; faults are noted in ``fields``."""
    section = HomeAssistant(
        enabled=fields.boolean("enabled", False),
        prefix=fields.text("prefix", "homeassistant", pattern=r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*"),
    )
    fields.close()
    return section


def parse_log(fields: Fields) -> Log:
    """Read ``[log]``; faults are noted in ``fields``."""
    section = Log(format=fields.text("format", "text", choices=LOG_FORMATS))
    fields.close()
    return section
