"""A small HTTP server that no client can make heavy: few connections, short requests, deadlines.

Each connection has a thread; their number is bounded, further ones are turned away at once.
A connection that is slow to ask, to read or to say goodbye is cut at its deadline by the listening
thread, so that dribbling a byte now and then gains nothing.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import LineTooLong
from socketserver import BaseRequestHandler, TCPServer, ThreadingMixIn
from typing import Any, BinaryIO

from edge_agent.config import Address

LOOK_S = 0.2
NEWS_MOST = 32
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 2\r\n"
    b"Connection: close\r\n\r\n"
)

Handler = Callable[[Any, Any, TCPServer], BaseRequestHandler]


@dataclass(frozen=True)
class Limits:
    """What clients may take.

    Attributes:
        connections: at a time; a browser uses up to six.
        request_bytes: request line and headers together.
        ask_s: from the last answer to the end of the next request.
        answer_s: from the end of a request to the end of its answer.
    """

    connections: int = 32
    request_bytes: int = 16 * 1024
    ask_s: float = 15.0
    answer_s: float = 10.0


class Server(ThreadingMixIn, TCPServer):
    """Listens; see the module's docstring.

    Args:
        address: where.
        handler: makes the handler of a connection.
        limits: of connections, bytes and time.

    Raises:
        OSError: the address cannot be had.
    """

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 16

    def __init__(self, address: Address, handler: Handler, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.address_family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        self._counting = threading.Lock()
        self._deadlines: dict[socket.socket, float] = {}
        self._told: set[str] = set()
        super().__init__((address.host, address.port), handler)
        self.address = Address(address.host, int(self.server_address[1]))

    def allow(self, connection: socket.socket, seconds: float) -> None:
        """Give a connection a new deadline."""
        with self._counting:
            if connection in self._deadlines:
                self._deadlines[connection] = time.monotonic() + seconds

    def is_news(self, text: str) -> bool:
        """Whether this was not said before, so that a lasting fault is logged once."""
        with self._counting:
            news = text not in self._told and len(self._told) < NEWS_MOST
            if news:
                self._told.add(text)
        return news

    def process_request(self, request: Any, client_address: Any) -> None:
        """Begin a thread for a connection, unless there are enough."""
        with self._counting:
            full = len(self._deadlines) >= self.limits.connections
            if not full:
                self._deadlines[request] = time.monotonic() + self.limits.ask_s
        if full:
            self._turn_away(request)
        else:
            super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """A connection ends."""
        with self._counting:
            self._deadlines.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Called by `serve_forever` a few times a second: cut what is over its deadline."""
        self._cut(time.monotonic())

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection broke, or was cut; the handler reports its own faults."""

    def cut_all(self) -> None:
        """End every connection now."""
        self._cut(float("inf"))

    def _cut(self, now: float) -> None:
        with self._counting:
            late = [one for one, deadline in self._deadlines.items() if deadline <= now]
        for connection in late:
            with suppress(OSError):  # gone already
                connection.shutdown(socket.SHUT_RDWR)

    def _turn_away(self, request: socket.socket) -> None:
        request.setblocking(False)
        with suppress(OSError):
            request.send(_FULL)
        self.shutdown_request(request)


@contextmanager
def listening(server: Server, closing: threading.Event) -> Iterator[Address]:
    """Serve in a thread until the block ends; ends within a second, whatever clients do.

    Args:
        server: bound already.
        closing: set first, for handlers that wait for something.

    Yields:
        The server's address, with the port that was free for port 0.
    """
    thread = threading.Thread(target=server.serve_forever, args=(LOOK_S,), name="page", daemon=True)
    thread.start()
    try:
        yield server.address
    finally:
        closing.set()
        server.shutdown()
        thread.join()
        server.server_close()
        server.cut_all()


class Bounded:
    """A request's stream that gives at most so many bytes of headers until `renew`."""

    def __init__(self, stream: BinaryIO, most: int) -> None:
        self._stream = stream
        self._most = self._left = most

    def renew(self) -> None:
        """The next request begins."""
        self._left = self._most

    def readline(self, size: int = -1) -> bytes:
        """A line, or the beginning of one that is too long.

        Raises:
            LineTooLong: when nothing more may be read.
        """
        if self._left <= 0:
            raise LineTooLong("request")
        limit = self._left if size < 0 else min(size, self._left)
        line = self._stream.readline(limit)
        self._left -= len(line)
        return line

    def read(self, size: int) -> bytes:
        """So many bytes of a body, or fewer where the other side sends no more."""
        return self._stream.read(size)

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()
