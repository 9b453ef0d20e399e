"""How bytes come from the release repository: a folder or any static HTTP server.

Nothing here is trusted: metadata is checked by TUF, blobs by their hash (registry_sync/device:
client, fetcher). A transport knows addresses and ranges, and no policy.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

from tuf.api import exceptions
from tuf.ngclient import FetcherInterface

from edge_agent.errors import RepositoryError

if TYPE_CHECKING:
    import urllib3

CHUNK = 256 * 1024
TIMEOUT_S = 10.0
_GONE = (403, 404, 410)


class Missing(RepositoryError):
    """The repository answers, and does not have this file."""


class Transport(Protocol):
    """Where bytes come from."""

    def stream(self, url: str, start: int = 0) -> tuple[int, Iterator[bytes]]:
        """The bytes of ``url`` from ``start`` on.

        Returns:
            The offset at which the bytes really begin (0 when ranges are not supported), and the
            bytes in pieces.

        Raises:
            Missing: the repository does not have the file.
            RepositoryError: the repository cannot be reached; also while iterating.
        """


class FileTransport:
    """``file://``: a folder, a USB stick, a network share."""

    def stream(self, url: str, start: int = 0) -> tuple[int, Iterator[bytes]]:
        """See `Transport.stream`."""
        path = Path(unquote(urlsplit(url).path))
        try:
            file = path.open("rb")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise Missing(f"{path}: is not there; was it published to this folder?") from None
        except OSError as error:
            raise RepositoryError(f"{path}: {error.strerror}; is the folder mounted?") from None
        file.seek(start)

        def pieces() -> Iterator[bytes]:
            with file:
                while piece := file.read(CHUNK):
                    yield piece

        return start, pieces()


class HttpTransport:
    """``http(s)://``: static files; proxies come from the environment as everywhere."""

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._pools: dict[str, urllib3.PoolManager] = {}

    def _pool(self, url: str) -> urllib3.PoolManager:
        from urllib.request import getproxies, proxy_bypass

        import urllib3

        parts = urlsplit(url)
        proxy = "" if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme, "")
        if proxy not in self._pools:
            options: dict[str, Any] = {
                "timeout": urllib3.Timeout(self._timeout_s),
                "retries": urllib3.Retry(total=1, redirect=3, raise_on_status=False),
            }
            self._pools[proxy] = (
                urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)
            )
        return self._pools[proxy]

    def stream(self, url: str, start: int = 0) -> tuple[int, Iterator[bytes]]:
        """See `Transport.stream`."""
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        with _unreachable(url):
            response = self._pool(url).request(
                "GET", url, headers=headers, preload_content=False, decode_content=False
            )
        if response.status >= 400:
            response.close()
            if start and response.status == 416:
                return self.stream(url)
            kind = Missing if response.status in _GONE else RepositoryError
            raise kind(f"{url}: the server answered {response.status}; check [repository] url")

        def pieces() -> Iterator[bytes]:
            try:
                with _unreachable(url):
                    yield from response.stream(CHUNK)
            finally:
                response.close()

        resumed = response.status == 206 and _begins(response.headers) == start
        return start if resumed else 0, pieces()


def _begins(headers: Any) -> int:
    """First byte of a ``Content-Range: bytes 100-199/200`` header; -1 when there is none."""
    first = str(headers.get("Content-Range", "")).removeprefix("bytes ").partition("-")[0]
    return int(first) if first.isdigit() else -1


@contextmanager
def _unreachable(url: str) -> Iterator[None]:
    import urllib3

    try:
        yield
    except (urllib3.exceptions.HTTPError, OSError) as error:
        cause = getattr(error, "reason", None) or error
        text = str(cause).rpartition(": ")[2] or type(cause).__name__
        raise RepositoryError(
            f"{urlsplit(url).netloc}: cannot be reached ({text}); is the repository up?"
        ) from None


def transport_for(url: str) -> Transport:
    """The transport for a repository's address."""
    return FileTransport() if urlsplit(url).scheme == "file" else HttpTransport()


class TufFetcher(FetcherInterface):
    """Lets python-tuf fetch metadata and small targets through a `Transport`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            return self._transport.stream(url)[1]
        except Missing as error:
            # python-tuf takes 404 after the newest root for "there is no newer one".
            raise exceptions.DownloadHTTPError(str(error), 404) from error
