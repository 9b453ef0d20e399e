"""One connection of the page's server: which requests are answered, and what every answer says."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from edge_agent.page.answer import HTML, Answer
from edge_agent.page.guard import Guard
from edge_agent.page.server import Bounded, Server

Route = Callable[[str, Mapping[str, str]], Answer | None]
"""Path and query of a GET; None for what is not there."""

Post = Callable[[bytes], Answer]
"""The body of a POST, at most `BODY_MOST` bytes of JSON."""
Posts = Mapping[str, Post]
BODY_MOST = 4096
JSON_TYPE = "application/json"

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:;"
        " connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_DOOR = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>Outpost</title>'
    '<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/page.css">'
    '<main class="door"><h1>This page needs its token</h1>{note}<form action="/">'
    '<label for="token">Token, as in the device\'s token file</label>'
    '<input id="token" name="token" type="password" autofocus autocomplete="current-password">'
    "<button>Look</button></form></main></html>"
)
# Not a redirect: after one that began on another site, the browser would hold the cookie back.
_WELCOME = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>Outpost</title>'
    '<meta http-equiv="refresh" content="0;url=/"><p><a href="/">Go on</a></p></html>'
)
_OPEN_PATHS = ("/page.css",)  # for the door itself
log = logging.getLogger(__name__)


class PageHandler(BaseHTTPRequestHandler):
    """GET and HEAD without bodies, POST of small documents to few paths; keep-alive.

    Args:
        guard: who may look, and who may write.
        route: what there is to see.
        arguments: connection, client's address and server, as `socketserver` gives them.
        posts: path -> what takes a document there.
    """

    protocol_version = "HTTP/1.1"
    server: Server

    def __init__(
        self, guard: Guard, route: Route, *arguments: Any, posts: Posts | None = None
    ) -> None:
        self._guard = guard
        self._route = route
        self._posts = posts or {}
        super().__init__(*arguments)

    def setup(self) -> None:
        """The request's stream is bounded, in bytes and in time."""
        super().setup()
        self.connection.settimeout(self.server.limits.answer_s)
        self._bounded = Bounded(self.rfile, self.server.limits.request_bytes)
        self.rfile: Any = self._bounded

    def handle_one_request(self) -> None:
        """One request, and a new deadline for the next."""
        self._bounded.renew()
        super().handle_one_request()
        self.server.allow(self.connection, self.server.limits.ask_s)

    def do_GET(self) -> None:
        """Answer, refuse, or say that it is our fault."""
        self._do(self._answer)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        """Take a document, refuse it, or say that it is our fault."""
        if self._path() not in self._posts:
            self.send_error(HTTPStatus.METHOD_NOT_ALLOWED)
        else:
            self._do(self._take)

    def _do(self, work: Callable[[], Answer]) -> None:
        self.server.allow(self.connection, self.server.limits.answer_s)
        try:
            answer = work()
        except Exception as error:  # a fault of ours; no frame is touched by it
            if self.server.is_news(f"{type(error).__name__}: {error}"):
                log.exception("page: %s failed; please report this", self.path[:200])
            answer = Answer.refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "a fault; see the log")
        self._send(answer)

    def _stranger(self) -> Answer | None:
        """The refusal of a request to a name that is not ours."""
        hosts = self.headers.get_all("Host", [])
        if len(hosts) == 1 and self._guard.knows_host(hosts[0]):
            return None
        text = "this device does not answer to that name; add it to [page] hosts"
        return Answer.refusal(HTTPStatus.MISDIRECTED_REQUEST, text)

    def _take(self) -> Answer:
        """A document from the page itself; whatever is refused here also ends the connection."""
        self.close_connection = True
        refusal = self._stranger() or self._not_ours() or self._no_document()
        if refusal is not None:
            return refusal
        size = int(self.headers["Content-Length"])
        body = self._bounded.read(size)
        if len(body) < size:
            return Answer.refusal(HTTPStatus.BAD_REQUEST, "the document ends too early")
        self.close_connection = False
        return self._posts[self._path()](body)

    def _path(self) -> str:
        """The path that is asked for; "" when it is no address."""
        try:
            return urlsplit(self.path).path
        except ValueError:
            return ""

    def _not_ours(self) -> Answer | None:
        """The refusal of somebody without the token, or of a page elsewhere."""
        if not self._guard.admits(self.headers.get("Cookie")):
            return Answer.refusal(HTTPStatus.UNAUTHORIZED, "open / with the token first")
        origins, sites = (self.headers.get_all(name) for name in ("Origin", "Sec-Fetch-Site"))
        origin, site = (one[0] if one and len(one) == 1 else None for one in (origins, sites))
        host = self.headers["Host"]
        if not self._guard.is_own_page(host, origin, site):
            text = "only this page may write here; scripts use edge-agent feedback, or MQTT"
            return Answer.refusal(HTTPStatus.FORBIDDEN, text)
        return None

    def _no_document(self) -> Answer | None:
        """The refusal of a body that is not one short JSON document."""
        kind = (self.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
        if kind != JSON_TYPE:
            return Answer.refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"send {JSON_TYPE}")
        sizes = self.headers.get_all("Content-Length", [])
        if self.headers.get("Transfer-Encoding") or len(sizes) != 1:
            return Answer.refusal(HTTPStatus.LENGTH_REQUIRED, "say Content-Length, once")
        if not (sizes[0].isascii() and sizes[0].isdecimal() and len(sizes[0]) <= 9):
            return Answer.refusal(HTTPStatus.BAD_REQUEST, "Content-Length is no number")
        if int(sizes[0]) > BODY_MOST:
            text = f"at most {BODY_MOST} bytes are read"
            return Answer.refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text)
        return None

    def _answer(self) -> Answer:
        if self.headers.get("Transfer-Encoding") or self.headers.get("Content-Length", "0") != "0":
            self.close_connection = True
            return Answer.refusal(HTTPStatus.BAD_REQUEST, "requests have no body here")
        stranger = self._stranger()
        if stranger is not None:
            return stranger
        try:
            url = urlsplit(self.path)
            query = dict(parse_qsl(url.query, keep_blank_values=True, max_num_fields=8))
        except ValueError:
            return Answer.refusal(HTTPStatus.BAD_REQUEST, "that is not an address")
        if not self._guard.admits(self.headers.get("Cookie")) and url.path not in _OPEN_PATHS:
            return self._at_the_door(url.path, query)
        answer = self._route(url.path, query)
        return answer or Answer.refusal(HTTPStatus.NOT_FOUND, "there is nothing here")

    def _at_the_door(self, path: str, query: Mapping[str, str]) -> Answer:
        if path != "/":
            return Answer.refusal(HTTPStatus.UNAUTHORIZED, "open / with the token first")
        if "token" not in query:
            return Answer(HTTPStatus.UNAUTHORIZED, _DOOR.format(note="").encode(), HTML)
        if not self._guard.is_token(query["token"]):
            if self.server.is_news(f"wrong token {self.client_address[0]}"):
                log.warning("page: a wrong token from %s", self.client_address[0])
            note = '<p role="alert">That is not the token.</p>'
            return Answer(HTTPStatus.UNAUTHORIZED, _DOOR.format(note=note).encode(), HTML)
        return Answer(
            HTTPStatus.OK, _WELCOME.encode(), HTML, {"Set-Cookie": self._guard.set_cookie()}
        )

    def _send(self, answer: Answer) -> None:
        self.server.allow(self.connection, self.server.limits.answer_s)
        self.send_response(answer.status)
        for name, value in {**HEADERS, **answer.headers}.items():
            self.send_header(name, value)
        if answer.status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(answer.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD" and answer.body:
            self.wfile.write(answer.body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class refuses (a malformed request, an unknown method), in our manner."""
        self.close_connection = True
        self.request_version = self.protocol_version  # of a request that was never understood
        status, headers = HTTPStatus(code), {}
        if status == HTTPStatus.NOT_IMPLEMENTED:  # the base class's word for any other method
            status = HTTPStatus.METHOD_NOT_ALLOWED
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            headers = {"Allow": "GET, HEAD"}
        self._send(Answer.refusal(status, message or status.phrase, **headers))

    def version_string(self) -> str:
        """No versions of Python for strangers."""
        return "outpost"

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not logged; trouble is, where it happens."""
