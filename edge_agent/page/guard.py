"""Who may look: the token, its cookie, and the names by which a browser may ask. Pure, but reading.

1. Off the loopback interface the page is not served without a token.
2. A viewer shows the token once (``/?token=…``) and then has a cookie made from it, which outlives
   a restart of the agent and does not give the token away.
3. Whoever asks by a name that is not ours is refused, token or not: a page elsewhere whose name was
   made to point at this machine (DNS rebinding) must not read ours. IP addresses cannot be rebound.
4. Who wants to write must come from the page itself: a browser says so in ``Origin``, which a page
   elsewhere cannot change, cookie or not.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from edge_agent.config import Address, Config
from edge_agent.errors import ConfigError

TOKEN_LEAST = 16
TOKEN_MOST = 256
_MAKE = "(umask 077; openssl rand -hex 16 > {path})"


def read_token(path: Path) -> str:
    """The token in a file that nobody else can read.

    Raises:
        ConfigError: the file is missing, readable by others, or holds no token.
    """
    make = f"make one: {_MAKE.format(path=path)}"
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read(TOKEN_MOST + 2)
    except OSError as error:
        raise ConfigError(f"[page] token_file {path}: {error.strerror}; {make}") from None
    if mode & 0o077:
        raise ConfigError(
            f"[page] token_file {path}: its mode is {mode:04o}, others can read it;"
            f" chmod 600 {path}"
        )
    token = data.decode("latin-1").strip()
    if not TOKEN_LEAST <= len(token) <= TOKEN_MOST or not all("!" <= one <= "~" for one in token):
        raise ConfigError(
            f"[page] token_file {path}: should hold {TOKEN_LEAST} to {TOKEN_MOST} letters and"
            f" digits on one line; {make}"
        )
    return token


def token_for(config: Config, address: Address) -> str:
    """The token of a page on this address; "" where it needs none.

    Raises:
        ConfigError: it can be reached from elsewhere and there is no token, or the token's file
            cannot be used.
    """
    path = config.page.token_file
    if path is not None:
        return read_token(path)
    if not address.loopback:
        raise ConfigError(
            f"{config.path}: a page on {address} can be seen from elsewhere and needs a token;"
            " set [page] token_file, or serve it on 127.0.0.1"
        )
    return ""


@dataclass(frozen=True)
class Guard:
    """The rules of one page.

    Attributes:
        token: that viewers must know, "" for none.
        cookie: name of the cookie; of this device and port, because browsers do not tell ports of
            a host apart.
        hosts: names, beside IP addresses and ``localhost``, that are ours.
    """

    token: str
    cookie: str
    hosts: frozenset[str]

    @classmethod
    def make(cls, token: str, *, device: str, port: int, hosts: Iterable[str] = ()) -> Guard:
        """The guard of a device's page."""
        return cls(token, f"outpost-{device}-{port}", frozenset(hosts))

    def knows_host(self, header: str | None) -> bool:
        """Whether a ``Host`` header names this machine; any port will do (``ssh -L``)."""
        if not header:
            return False
        try:
            name = urlsplit(f"//{header}").hostname or ""
        except ValueError:
            return False
        return name == "localhost" or name in self.hosts or _is_ip(name)

    def is_own_page(self, host: str, origin: str | None, fetch_site: str | None) -> bool:
        """Whether a request to write comes from a page of the address that it was sent to.

        Args:
            host: its ``Host`` header, which `knows_host`.
            origin: its ``Origin`` header; browsers send one with each POST.
            fetch_site: its ``Sec-Fetch-Site`` header, which older browsers leave out.
        """
        scheme, _, name = (origin or "").partition("://")
        ours = scheme in ("http", "https") and name.lower() == host.lower()
        return ours and fetch_site in (None, "same-origin")

    def is_token(self, given: str) -> bool:
        """Whether it is the token, compared in constant time."""
        return hmac.compare_digest(self.token.encode(), given.encode("utf-8", "replace"))

    def admits(self, cookies: str | None) -> bool:
        """Whether a ``Cookie`` header holds what `ticket` gave; always without a token."""
        if not self.token:
            return True
        given = [pair.strip().partition("=") for pair in (cookies or "").split(";")]
        wanted = self._ticket().encode()
        return any(
            hmac.compare_digest(wanted, value.encode("utf-8", "replace"))
            for name, _, value in given
            if name == self.cookie
        )

    def set_cookie(self) -> str:
        """The ``Set-Cookie`` header for a viewer who showed the token; good for 30 days."""
        return f"{self.cookie}={self._ticket()}; Max-Age=2592000; Path=/; HttpOnly; SameSite=Strict"

    def _ticket(self) -> str:
        key = self.token.encode()
        return hmac.new(
            key, f"outpost page cookie {self.cookie}".encode(), hashlib.sha256
        ).hexdigest()


def _is_ip(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
