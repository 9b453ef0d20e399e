"""Asking for retraining, at a real HTTPS server that a test scripts."""

from __future__ import annotations

import json
import queue
import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from edge_agent.backoff import Backoff
from edge_agent.config import Webhook as Settings
from edge_agent.policy.webhook import Webhook
from tests.certificates import make_certificates

DOCUMENT = {"device": "cell-3", "captures": ["1_top_alert"]}


class Server:
    """Answers with these codes, one after another; remembers what it was asked."""

    def __init__(self, folder, codes):
        self.seen = []
        self.codes = list(codes)
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                length = int(self.headers["Content-Length"])
                server.seen.append((dict(self.headers), json.loads(self.rfile.read(length))))
                code = server.codes.pop(0)
                self.send_response(code)
                if code in (301, 302, 307):
                    self.send_header("Location", "https://example.org/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        make_certificates(folder, device="cell-3")
        self._http = HTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.pem", folder / "server.key")
        self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._http.server_port}/dispatches"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self):
        self._http.shutdown()
        self._http.server_close()


class Desk:
    """A webhook and what it tells."""

    def __init__(self, folder, url, **more):
        self.token = folder / "token"
        self.token.write_text("secret-1\n")
        values = {"kind": "github", "token_file": self.token, "ca": folder / "ca.pem"}
        settings = Settings(url=url, timeout_s=5.0, retries=2, **values | more)
        self.told: queue.SimpleQueue = queue.SimpleQueue()
        self.hook = Webhook(settings, lambda *told: self.told.put(told), Backoff(0.01, 0.02))

    def post(self):
        """One document; the event that says how it ended."""
        assert self.hook.post(DOCUMENT, 3)
        message, version = self.told.get(timeout=20)
        assert version == 3
        return message.payload


@pytest.fixture
def serve(tmp_path):
    servers = []

    def make(*codes):
        servers.append(Server(tmp_path, codes))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


def test_github_takes_it(tmp_path, serve):
    """The token goes into the header, and nowhere else."""
    server = serve(204)
    told = Desk(tmp_path, server.url).post()
    ((headers, document),) = server.seen
    assert document == {"event_type": "outpost-retraining", "client_payload": DOCUMENT}
    assert headers["Authorization"] == "Bearer secret-1"
    assert (told["kind"], told["status"], told["attempts"]) == ("webhook.delivered", 204, 1)
    assert "secret" not in json.dumps(told)


def test_what_may_pass_is_tried_again(tmp_path, serve, caplog):
    """Twice 503, then it works; and a server that never does ends after the retries."""
    server = serve(503, 429, 202, 500, 500, 500)
    desk = Desk(tmp_path, server.url, kind="plain")
    assert desk.post()["attempts"] == 3
    assert server.seen[-1][1] == DOCUMENT
    told = desk.post()
    assert (told["kind"], told["attempts"]) == ("webhook.failed", 3) and "HTTP 500" in told["text"]
    assert "secret" not in caplog.text


@pytest.mark.parametrize("code", [401, 404, 422, 302])
def test_a_no_is_final(tmp_path, serve, code):
    """One attempt; a redirection is not followed, because the token is for this address."""
    server = serve(code)
    told = Desk(tmp_path, server.url).post()
    assert (told["kind"], told["attempts"]) == ("webhook.failed", 1) and str(code) in told["text"]
    assert len(server.seen) == 1


def test_a_server_that_cannot_be_trusted_or_reached(tmp_path, serve):
    """Its certificate is checked; the reason is in the event."""
    server = serve(204)
    told = Desk(tmp_path, server.url, ca=None).post()
    assert told["kind"] == "webhook.failed" and "certificate" in told["text"].lower()
    assert server.seen == []
    told = Desk(tmp_path, "https://127.0.0.1:1/x").post()
    assert "refused" in told["text"].lower()


def test_a_token_that_is_not_there(tmp_path, serve):
    """Said without trying; a new token is read at the next request."""
    server = serve(204)
    desk = Desk(tmp_path, server.url)
    desk.token.unlink()
    told = desk.post()
    assert "cannot read the token" in told["text"] and server.seen == []
    desk.token.write_text("secret-2")
    assert desk.post()["kind"] == "webhook.delivered"
    assert server.seen[0][0]["Authorization"] == "Bearer secret-2"


def test_posting_never_waits(tmp_path):
    """A host that swallows packets holds up nobody; what is too much is refused."""
    desk = Desk(tmp_path, "https://127.0.0.1:1/x")
    desk.hook.close(1.0)
    taken = [desk.hook.post(DOCUMENT, 1) for _ in range(40)]
    assert True in taken and taken[-1] is False
