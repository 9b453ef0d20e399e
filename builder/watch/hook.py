"""Hears MLflow's webhooks. A message only says "look now"; what to do is read from the registry.

MLflow signs what it sends (HMAC-SHA-256 over ``<delivery id>.<timestamp>.<body>``, header
``X-MLflow-Signature: v1,<base64>``; mlflow.org, "Webhooks"). What is not signed with our secret, or
is older than five minutes, is refused. Webhooks can be lost, so polling goes on beside them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from edge_agent.errors import UsageError

SIGNATURE, TIMESTAMP, DELIVERY = (
    "X-MLflow-Signature",
    "X-MLflow-Timestamp",
    "X-MLflow-Delivery-Id",
)
MOST_AGE_S = 300.0
MOST_BYTES = 64 * 1024
_TIMEOUT_S = 10.0


def refusal(headers: Mapping[str, str], body: bytes, secret: bytes, now: float) -> str:
    """Why a message is not believed; "" when it is.

    Args:
        headers: looked up by the names above.
        body: as it came.
        secret: shared with the registry.
        now: seconds since the epoch.
    """
    stamp, delivery = headers.get(TIMESTAMP, ""), headers.get(DELIVERY, "")
    if not stamp.isdecimal() or len(stamp) > 12 or abs(now - int(stamp)) > MOST_AGE_S:
        return "no timestamp, or an old one"
    signed = f"{delivery}.{stamp}.".encode("latin-1", "replace") + body
    wanted = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest())
    version, _, given = headers.get(SIGNATURE, "").partition(",")
    if version != "v1" or not hmac.compare_digest(wanted, given.encode("latin-1", "replace")):
        return "not signed with this secret"
    return ""


def parse_address(text: str) -> tuple[str, int]:
    """Read ``127.0.0.1:8017``; raises `UsageError`."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"--listen {text!r}: write HOST:PORT, like 127.0.0.1:8017")
    return host, int(port)


@contextmanager
def listening(
    address: tuple[str, int], secret: bytes, wake: Callable[[], None]
) -> Iterator[tuple[str, int]]:
    """Serve until the block ends; ``wake`` is called for each message that is believed.

    Yields:
        The address that is listened on, for port 0 the one that was free.

    Raises:
        UsageError: the address cannot be had.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = _TIMEOUT_S

        def do_POST(self) -> None:
            """Believe it or not."""
            length = self.headers.get("Content-Length", "")
            if not length.isdecimal() or int(length) > MOST_BYTES:
                self.send_error(413)
                return
            body = self.rfile.read(int(length))
            given = {one: self.headers.get(one, "") for one in (SIGNATURE, TIMESTAMP, DELIVERY)}
            if reason := refusal(given, body, secret, time.time()):
                self.send_error(401, reason)
                return
            wake()
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Events are told by the watcher."""

    try:
        server = ThreadingHTTPServer(address, Handler)
    except OSError as error:
        raise UsageError(
            f"--listen {address[0]}:{address[1]}: {error.strerror}; choose another"
        ) from None
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="webhooks", daemon=True)
    thread.start()
    try:
        yield (str(server.server_address[0]), int(server.server_address[1]))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
