"""The page on the device: ``[page]``, and the address that `edge-agent run --page` takes."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

from edge_agent.checked import Fields

_HOST = r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?"


@dataclass(frozen=True)
class Address:
    """Where the page is served: an IP address (an interface of this machine) and a TCP port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read ``127.0.0.1:8800``, ``[::1]:8800`` or ``localhost:8800``.

        A name other than ``localhost`` is not taken: what it means is decided elsewhere, and here
        it decides whether a token is needed.

        Raises:
            ValueError: saying how it should look.
        """
        host, _, port = text.rpartition(":")
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        bare = "127.0.0.1" if bare == "localhost" else bare
        bracketed: bool | None
        try:
            bracketed = ipaddress.ip_address(bare).version == 6
        except ValueError:
            bracketed = None
        if bracketed is not host.startswith("[") or not _is_port(port):
            raise ValueError(
                f'"{text}" should be ADDRESS:PORT with an IP address of this machine, like'
                " 127.0.0.1:8800, 0.0.0.0:8800 or [::1]:8800"
            )
        return cls(bare, int(port))

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return ipaddress.ip_address(self.host).is_loopback

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True)
class Page:
    """``[page]``: what the agent shows to a browser, off by default.

    Attributes:
        address: where; None for no page.
        token_file: holds the token that a viewer must know; needed off the loopback interface.
        hosts: names, beside IP addresses and ``localhost``, by which browsers may ask for it.
        width: pixels, to which wider pictures are reduced before they are sent.
    """

    address: Address | None
    token_file: Path | None
    hosts: tuple[str, ...]
    width: int


def parse_page(fields: Fields, folder: Path) -> Page:
    """Read ``[page]``; faults are noted in ``fields``."""
    token_file = fields.text("token_file", "")
    hosts = fields.texts("hosts", ())
    for host in hosts:
        if not re.fullmatch(_HOST, host):
            fields.fault("hosts", f'"{host}" is not the name of a machine, like cell-3.example')
    page = Page(
        address=_address(fields),
        token_file=folder / token_file if token_file else None,
        hosts=tuple(host.lower() for host in hosts),
        width=fields.integer("width", 960, least=64, most=8192),
    )
    fields.close()
    return page


def _address(fields: Fields) -> Address | None:
    text = fields.text("address", "")
    if not text:
        return None
    try:
        return Address.parse(text)
    except ValueError as error:
        fields.fault("address", str(error))
        return None


def _is_port(text: str) -> bool:
    return bool(re.fullmatch(r"[0-9]{1,5}", text)) and int(text) <= 65535
