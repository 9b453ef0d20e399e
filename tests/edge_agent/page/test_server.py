"""The server holds its bounds whatever clients do, and every answer has its headers."""

from __future__ import annotations

import socket
import threading
import time
from functools import partial
from http import HTTPStatus

import pytest

from edge_agent.config import Address
from edge_agent.page.answer import Answer
from edge_agent.page.guard import Guard
from edge_agent.page.handler import PageHandler
from edge_agent.page.server import Limits, Server, listening
from tests.pages import get, raw

TOKEN = "0123456789abcdef"
HUGE = b"x" * 32_000_000
ASK = b"GET /%s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


class Stand:
    """A served page whose routes a test can watch."""

    def __init__(self, *, token="", limits=None):
        self.asked = []
        self.closing = threading.Event()
        self.entered = threading.Event()
        guard = Guard.make(token, device="cell-3", port=1, hosts=["cell-3.example"])
        self.server = Server(
            Address("127.0.0.1", 0), partial(PageHandler, guard, self.route), limits
        )
        self.url = f"http://{self.server.address}"

    def route(self, path, query):
        self.asked.append((path, dict(query)))
        if path == "/":
            return Answer(HTTPStatus.OK, b"the page")
        if path == "/page.css":
            return Answer(HTTPStatus.OK, b"")
        if path == "/huge":
            return Answer(HTTPStatus.OK, HUGE)
        if path == "/slow":
            self.entered.set()
            self.closing.wait(60)
            return Answer(HTTPStatus.OK)
        if path == "/broken":
            raise ValueError("no such thing")
        return None


@pytest.fixture
def serve(request):
    """``serve(token=…, limits=…)`` gives a `Stand` that is served until the test ends."""
    open_stands = []

    def start(**settings):
        stand = Stand(**settings)
        context = listening(stand.server, stand.closing)
        context.__enter__()
        open_stands.append(context)
        return stand

    yield start
    for context in open_stands:
        context.__exit__(None, None, None)


def ended(connection):
    """Read until the other side closes; what came."""
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except ConnectionResetError:
        pass
    return received


def wait_until_served(url):
    """Until a connection is free; one that is turned away may be reset while it asks."""
    deadline = time.monotonic() + 10
    while True:
        try:
            if get(url, "/").status == 200:
                return
        except OSError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_every_answer_is_closed_to_other_sites(serve):
    """Found or not found, refused or broken."""
    stand = serve()
    for path, status in (("/", 200), ("/nothing", 404), ("/broken", 500)):
        got = get(stand.url, path)
        assert got.status == status
        assert "default-src 'none'" in got.headers["Content-Security-Policy"]
        assert "unsafe" not in got.headers["Content-Security-Policy"]
        assert got.headers["X-Content-Type-Options"] == "nosniff"
        assert got.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert got.headers["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in got.headers
        assert "Python" not in got.headers["Server"]


def test_a_fault_of_ours_is_logged_once_and_gives_nothing_away(serve, caplog):
    """The traceback is for the log."""
    stand = serve()
    for _ in range(3):
        assert b"ValueError" not in get(stand.url, "/broken").body
    assert len([r for r in caplog.records if r.exc_info]) == 1
    assert get(stand.url, "/").status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_only_get_and_head(serve, method):
    """No CORS preflight is answered either."""
    stand = serve()
    got = get(stand.url, "/", method=method, body=b"{}", Origin="https://evil.example")
    assert (got.status, got.headers["Allow"]) == (405, "GET, HEAD")
    assert stand.asked == [] and "Access-Control-Allow-Origin" not in got.headers


def test_head_has_headers_and_no_body(serve):
    """As GET would have them."""
    got = get(serve().url, "/", method="HEAD")
    assert (got.status, got.headers["Content-Length"], got.body) == (200, "8", b"")


def test_a_connection_is_used_again(serve):
    """A browser asks a few times a second."""
    stand = serve()
    connection = raw(stand.url, (ASK % b"" + ASK % b"nothing") * 2)
    connection.shutdown(socket.SHUT_WR)
    assert ended(connection).count(b"HTTP/1.1 ") == 4


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 421),
        (b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", 421),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET http://[ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /?a=1&b=2&c=3&d=4&e=5&f=6&g=7&h=8&i=9 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (b"GET //etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (b"GET /page.css/../secret HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nA: " + b"a" * 100_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 50_000 + b"\r\n", 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n", 505),
        (b"hello\r\n\r\n", 400),
    ],
)  # fmt: skip
def test_odd_requests_are_refused_in_one_line(serve, request_, status):
    """Too large, ambiguous, from a rebound name, not HTTP at all: the server goes on."""
    stand = serve()
    connection = raw(stand.url)
    try:
        connection.sendall(request_)
        connection.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # refused before all of it was sent
    answer = ended(connection)
    # What was not read is answered by a reset, which may overtake the answer.
    overtaken = answer == b"" and len(request_) > Limits.request_bytes
    assert overtaken or answer.startswith(b"HTTP/1.1 %d " % status), answer[:80]
    assert get(stand.url, "/").status == 200


def test_names_of_ours_are_served(serve):
    """IP addresses, localhost under any port, and what [page] hosts says."""
    stand = serve()
    for host in ("localhost:1234", "[::1]", "10.1.2.3:80", "cell-3.example"):
        assert get(stand.url, "/", Host=host).status == 200


def test_no_more_connections_than_allowed(serve):
    """The next one is turned away at once, and served when another one has gone."""
    stand = serve(limits=Limits(connections=3))
    held = [raw(stand.url, ASK % b"") for _ in range(3)]
    assert all(one.recv(12) == b"HTTP/1.1 200" for one in held)
    assert ended(raw(stand.url)).startswith(b"HTTP/1.1 503 ")
    for one in held:
        one.close()
    wait_until_served(stand.url)


@pytest.mark.parametrize("drip", [b"", b"G", b"GET / HTTP/1.1\r\nHost: localhost\r\n"])
def test_who_never_finishes_asking_is_cut(serve, drip):
    """Also when a byte comes now and then."""
    stand = serve(limits=Limits(ask_s=0.4))
    connection = raw(stand.url, drip)
    connection.settimeout(0.1)
    began = time.monotonic()
    while time.monotonic() - began < 10:
        try:
            if drip:
                connection.sendall(b"a")
            if connection.recv(1000) == b"":
                break
        except TimeoutError:
            continue
        except OSError:
            break
    assert time.monotonic() - began < 5


def test_who_never_reads_is_cut(serve):
    """A picture that nobody takes does not hold its connection."""
    stand = serve(limits=Limits(connections=1, answer_s=0.4))
    connection = raw(stand.url, ASK % b"huge")
    wait_until_served(stand.url)
    assert len(ended(connection)) < len(HUGE)


def test_it_ends_within_a_second(serve):
    """With clients that ask nothing, read nothing, or wait for an answer."""
    stand = Stand()
    with listening(stand.server, stand.closing):
        clients = [raw(stand.url), raw(stand.url, b"GET "), raw(stand.url, ASK % b"huge")]
        clients.append(raw(stand.url, ASK % b"slow"))
        assert stand.entered.wait(10)
        began = time.monotonic()
    assert time.monotonic() - began < 1.0
    for client in clients:
        ended(client)
    with pytest.raises(ConnectionRefusedError):
        raw(stand.url)


def test_an_address_of_ipv6():
    """The machine may have none."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 on the loopback interface")
    guard = Guard.make("", device="cell-3", port=1)
    handler = partial(PageHandler, guard, lambda path, query: Answer(HTTPStatus.OK, b"six"))
    server = Server(Address("::1", 0), handler)
    with listening(server, threading.Event()) as address:
        assert get(f"http://{address}", "/").body == b"six"


# --- with a token ----------------------------------------------------------------------------


def test_without_the_token_there_is_only_a_door(serve):
    """Nothing behind it is asked for; the form and its style are all."""
    stand = serve(token=TOKEN)
    door = get(stand.url, "/")
    assert door.status == 401 and b"password" in door.body
    for path in ("/api/state", "/api/releases", "/page.js", "/cameras/top/live.jpg", "/nothing"):
        got = get(stand.url, path)
        assert got.status == 401 and b"token" in got.body
    assert get(stand.url, "/page.css").status == 200
    assert [path for path, _ in stand.asked] == ["/page.css"]


def test_the_token_opens_once_and_the_cookie_from_then_on(serve):
    """The page that sets the cookie leads on by itself, so that the token leaves the address."""
    stand = serve(token=TOKEN)
    welcome = get(stand.url, f"/?token={TOKEN}")
    cookie = welcome.headers["Set-Cookie"]
    assert welcome.status == 200 and b'http-equiv="refresh"' in welcome.body
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and TOKEN not in cookie
    got = get(stand.url, "/", Cookie=cookie.partition(";")[0])
    assert (got.status, got.body, got.headers["Set-Cookie"]) == (200, b"the page", None)


def test_a_wrong_token_is_told_and_logged_once(serve, caplog):
    """Nobody floods the log by guessing."""
    stand = serve(token=TOKEN)
    for wrong in ("", "x", TOKEN[:-1], "%ff", TOKEN + "0"):
        got = get(stand.url, f"/?token={wrong}")
        assert got.status == 401 and "Set-Cookie" not in got.headers
        assert b"not the token" in got.body
    assert len([r for r in caplog.records if "wrong token" in r.message]) == 1


def test_the_token_does_not_help_a_rebound_name(serve):
    """The name is looked at first."""
    stand = serve(token=TOKEN)
    assert get(stand.url, f"/?token={TOKEN}", Host="evil.example").status == 421
