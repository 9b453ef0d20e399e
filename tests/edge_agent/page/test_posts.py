"""Who may write on the page, and what: its own documents, short, in time, with the token."""

from __future__ import annotations

import threading
from functools import partial
from http import HTTPStatus

import pytest

from edge_agent.config import Address
from edge_agent.page.answer import Answer
from edge_agent.page.guard import Guard
from edge_agent.page.handler import BODY_MOST, PageHandler
from edge_agent.page.server import Limits, Server, listening
from tests.pages import get, raw

TOKEN = "0123456789abcdef"
HERE = {"Content_Type": "application/json", "Host": "localhost", "Origin": "http://localhost"}


class Stand:
    """A served page that takes documents at one path."""

    def __init__(self, *, token="", limits=None):
        self.taken = []
        self.closing = threading.Event()
        guard = Guard.make(token, device="cell-3", port=1, hosts=["cell-3.example"])
        posts = {"/api/feedback": self.take}
        handler = partial(PageHandler, guard, lambda path, query: None, posts=posts)
        self.server = Server(Address("127.0.0.1", 0), handler, limits)
        self.url = f"http://{self.server.address}"

    def take(self, body):
        self.taken.append(body)
        return Answer(HTTPStatus.OK, b"kept")

    def post(self, body=b"{}", path="/api/feedback", **headers):
        named = {name: value for name, value in (HERE | headers).items() if value is not None}
        return get(self.url, path, method="POST", body=body, **named)


@pytest.fixture
def serve():
    contexts = []

    def start(**settings):
        stand = Stand(**settings)
        contexts.append(listening(stand.server, stand.closing))
        contexts[-1].__enter__()
        return stand

    yield start
    for context in contexts:
        context.__exit__(None, None, None)


def test_its_own_page_may_write(serve):
    """By whatever name and port the browser asked for it; behind TLS too."""
    stand = serve()
    assert stand.post(b'{"a": 1}').body == b"kept"
    for host in ("localhost:8800", "127.0.0.1:9", "cell-3.example", "[::1]:8800"):
        assert stand.post(b"{}", Host=host, Origin=f"http://{host}").status == 200
    assert stand.post(b"{}", Origin="https://localhost", Sec_Fetch_Site="same-origin").status == 200
    kind = "application/json; charset=utf-8"
    assert stand.post(b"{}", Content_Type=kind).status == 200
    assert stand.taken == [b'{"a": 1}', *[b"{}"] * 6]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": None},
        {"Origin": "null"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost:8801"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://evil.example@localhost"},
        {"Origin": "chrome-extension://localhost"},
        {"Origin": "localhost"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "none"},
    ],
)
def test_pages_elsewhere_may_not(serve, headers):
    """Also another port of the same machine, and programs that are no page."""
    stand = serve()
    got = stand.post(**headers)
    assert (got.status, stand.taken) == (403, [])
    assert b"only this page may write" in got.body
    assert "Access-Control-Allow-Origin" not in got.headers


def test_two_origins_are_none(serve):
    """What a proxy glued together is not believed."""
    stand = serve()
    head = (
        b"POST /api/feedback HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 2\r\nOrigin: http://localhost\r\nOrigin: http://localhost\r\n\r\n{}"
    )
    with raw(stand.url, head) as connection:
        assert b" 403 " in connection.recv(200)
    assert stand.taken == []


def test_a_name_that_is_not_ours(serve):
    """A page whose name was made to point here is of its own origin, and refused all the same."""
    stand = serve()
    got = stand.post(Host="evil.example", Origin="http://evil.example")
    assert (got.status, stand.taken) == (421, [])


def test_a_token_is_asked_for(serve):
    """The cookie of the door; the token itself in a header or address is none."""
    stand = serve(token=TOKEN)
    assert stand.post().status == 401
    assert stand.post(Cookie=f"outpost-cell-3-1={TOKEN}").status == 401
    assert stand.post(path=f"/api/feedback?token={TOKEN}").status == 401
    welcome = get(stand.url, f"/?token={TOKEN}", Host="localhost")
    cookie = welcome.headers["Set-Cookie"].partition(";")[0]
    assert "SameSite=Strict" in welcome.headers["Set-Cookie"]
    assert stand.post(Cookie=cookie).status == 200
    assert stand.post(Cookie=cookie, Origin="https://evil.example").status == 403
    assert stand.taken == [b"{}"]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"x" * (BODY_MOST + 1), {}, 413),
        (b"{}", {"Content_Type": "text/plain"}, 415),
        (b"a=b", {"Content_Type": "application/x-www-form-urlencoded"}, 415),
        (b"{}", {"Content_Type": None}, 415),
        (b"{}", {"Transfer_Encoding": "chunked"}, 411),
        (None, {}, 200),
    ],
)
def test_only_short_documents(serve, body, headers, status):
    """Forms of other sites cannot send JSON; a length is said before anything is read."""
    stand = serve()
    got = stand.post(body, **headers)
    assert got.status == status
    assert bool(stand.taken) == (status == 200)


@pytest.mark.parametrize("length", [b"-1", b"+2", b"2e0", b"0x2", b"9" * 40, b"2, 2", "²".encode()])
def test_odd_lengths(serve, length):
    """A clear refusal, and the connection ends."""
    stand = serve()
    head = (
        b"POST /api/feedback HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Origin: http://localhost\r\nContent-Length: " + length + b"\r\n\r\n{}"
    )
    with raw(stand.url, head) as connection:
        answer = b""
        while piece := connection.recv(4096):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 400 ") and answer.count(b"HTTP/1.1") == 1
    assert stand.taken == []


def test_a_body_that_never_ends_is_cut(serve):
    """Dribbling gains nothing; half a document is not taken."""
    stand = serve(limits=Limits(answer_s=0.3))
    head = (
        b"POST /api/feedback HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Origin: http://localhost\r\nContent-Length: 100\r\n\r\n{"
    )
    with raw(stand.url, head) as connection:
        while connection.recv(4096):
            pass
    assert stand.taken == []


def test_other_paths_take_nothing(serve):
    """405 with what is allowed; a refusal leaves the server well."""
    stand = serve()
    for path in ("/", "/judge", "/api/state", "/api/feedback/x", "http://[", "/api/feedback%00"):
        got = stand.post(path=path)
        assert (got.status, got.headers["Allow"]) == (405, "GET, HEAD"), path
    assert stand.post().status == 200


def test_a_connection_is_used_again(serve):
    """Document after document, as a browser sends them."""
    stand = serve()
    one = (
        b"POST /api/feedback HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Origin: http://localhost\r\nContent-Length: 2\r\n\r\n{}"
    )
    with raw(stand.url, one * 3) as connection:
        answer = b""
        while answer.count(b"kept") < 3:
            piece = connection.recv(4096)
            assert piece, answer
            answer += piece
    assert stand.taken == [b"{}"] * 3
