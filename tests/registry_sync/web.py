"""A static HTTP server on a free loopback port, with ranges and with the faults of real networks.

::

    with serve(folder) as server:
        server.url                      # http://127.0.0.1:<port>
        server.cut[path] = 1000         # close the connection after so many bytes, once
        server.replace[path] = b"..."   # lie about the content
        server.ranges = False           # ignore Range headers
        server.requests                 # [(path, range header or "")]
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class FaultyServer(ThreadingHTTPServer):
    """Serves a folder; see the module."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.ranges = True
        self.cut: dict[str, int] = {}
        self.replace: dict[str, bytes] = {}
        self.status: dict[str, int] = {}
        self.requests: list[tuple[str, str]] = []

    def handle_error(self, request: object, address: object) -> None:
        """A client that hangs up is no news."""

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyServer

    def do_GET(self) -> None:
        asked = self.headers.get("Range", "")
        self.server.requests.append((self.path, asked))
        if self.path in self.server.status:
            return self._answer(self.server.status[self.path], b"no")
        file = self.server.folder / self.path.lstrip("/")
        if self.path not in self.server.replace and not file.is_file():
            return self._answer(404, b"no such file")
        data = self.server.replace.get(self.path) or file.read_bytes()
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.server.ranges else 0
        if start and start >= len(data):
            return self._answer(416, b"")
        extra = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
        return self._answer(206 if start else 200, data[start:], extra)

    def _answer(self, code: int, data: bytes, extra: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in ({"Content-Length": str(len(data))} | (extra or {})).items():
            self.send_header(name, value)
        self.end_headers()
        cut = self.server.cut.pop(self.path, None)
        self.wfile.write(data[:cut])
        if cut is not None:
            self.close_connection = True

    def log_message(self, *arguments: object) -> None:
        """Quiet."""


@contextmanager
def serve(folder: Path) -> Iterator[FaultyServer]:
    """Serve a folder until the block ends."""
    server = FaultyServer(folder)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
