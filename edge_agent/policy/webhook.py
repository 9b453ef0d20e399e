"""Asks somebody for retraining: one HTTPS POST, tried again; its token is never logged."""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException, HTTPMessage
from typing import IO, Any

from edge_agent import __version__
from edge_agent.backoff import Backoff
from edge_agent.config.policy import GITHUB
from edge_agent.config.policy import Webhook as Settings
from edge_agent.errors import ConfigError, OutpostError
from edge_agent.metrics import Message, event

WAITING_MOST = 16
FIRST_DELAY_S, MOST_DELAY_S = 2.0, 300.0
EVENT_TYPE = "outpost-retraining"
log = logging.getLogger(__name__)

Tell = Callable[[Message, int], None]


class Refused(OutpostError):
    """The other side said no; asking again gives the same answer."""


class Webhook:
    """Delivers documents in order; `post` never blocks.

    Args:
        settings: the ``[policy.webhook]`` section.
        tell: for the event that says how it ended.
        backoff: between attempts.
    """

    def __init__(self, settings: Settings, tell: Tell, backoff: Backoff | None = None) -> None:
        self._settings = settings
        self._tell = tell
        self._backoff = backoff or Backoff(FIRST_DELAY_S, MOST_DELAY_S)
        self._waiting: queue.Queue[tuple[Mapping[str, Any], int] | None] = queue.Queue(WAITING_MOST)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def post(self, document: Mapping[str, Any], version: int) -> bool:
        """Line up a document about a model version; False when too many wait already."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="webhook", daemon=True)
            self._thread.start()
        try:
            self._waiting.put_nowait((document, version))
        except queue.Full:
            return False
        return True

    def close(self, timeout_s: float) -> None:
        """End the thread; what waits is lost (its event is in the outbox)."""
        self._stop.set()
        if self._thread is not None:
            with contextlib.suppress(queue.Full):
                self._waiting.put_nowait(None)
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stop.is_set():
            item = self._waiting.get()
            if item is not None:
                self._tell(self._deliver(item[0]), item[1])

    def _deliver(self, document: Mapping[str, Any]) -> Message:
        reason = "the agent was stopped"
        for attempt in range(1, self._settings.retries + 2):
            try:
                status = send(self._settings, document)
            except Refused as error:
                return self._failed(str(error), attempt)
            except OutpostError as error:
                reason = str(error)
            else:
                self._backoff.reset()
                text = f"retraining was asked for at {_host(self._settings)} (HTTP {status})"
                return event("webhook.delivered", "info", text, status=status, attempts=attempt)
            if attempt > self._settings.retries or self._stop.wait(self._backoff.next_s()):
                break
        return self._failed(reason, attempt)

    def _failed(self, reason: str, attempts: int) -> Message:
        text = f"retraining could not be asked for at {_host(self._settings)}: {reason}"
        log.error("%s", text)
        return event("webhook.failed", "error", text, attempts=attempts)


def send(settings: Settings, document: Mapping[str, Any]) -> int:
    """One attempt; the HTTP status when it was taken.

    Raises:
        Refused: the answer is no (4xx but 408, 425 and 429, or a redirection).
        OutpostError: it may work later.
    """
    request = urllib.request.Request(  # noqa: S310 - the configuration allows https, or loopback
        settings.url, data=body(settings, document), headers=_headers(settings), method="POST"
    )
    try:
        opener = urllib.request.build_opener(
            _Straight(), urllib.request.HTTPSHandler(context=_context(settings))
        )
        with opener.open(request, timeout=settings.timeout_s) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            final = 300 <= error.code < 500 and error.code not in (408, 425, 429)
        if final:
            raise Refused(f"HTTP {error.code} {error.reason}") from None
        raise OutpostError(f"HTTP {error.code} {error.reason}") from None
    except (OSError, HTTPException) as error:
        raise OutpostError(_reason(error)) from None


def body(settings: Settings, document: Mapping[str, Any]) -> bytes:
    """The bytes that are sent; GitHub takes at most ten fields in ``client_payload``."""
    whole: Mapping[str, Any] = document
    if settings.kind == GITHUB:
        whole = {"event_type": EVENT_TYPE, "client_payload": document}
    return json.dumps(whole, separators=(",", ":"), allow_nan=False).encode()


class _Straight(urllib.request.HTTPRedirectHandler):
    """Follows nothing: the token belongs to the address that was configured."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> None:
        return None


def _headers(settings: Settings) -> dict[str, str]:
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"outpost-edge-agent/{__version__}",
        "Date": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime()),
    }
    if settings.kind == GITHUB:
        headers["Accept"] = "application/vnd.github+json"
    if settings.token_file is None:
        return headers
    try:
        token = settings.token_file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not ASCII"
        raise ConfigError(f"{settings.token_file}: cannot read the token ({why})") from None
    if not token or not token.isprintable():
        raise ConfigError(f"{settings.token_file}: should hold one token in one line")
    return headers | {"Authorization": f"Bearer {token}"}


def _context(settings: Settings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(settings.ca) if settings.ca else None)
    except (OSError, ssl.SSLError):
        raise ConfigError(f"{settings.ca}: no CA certificate") from None


def _host(settings: Settings) -> str:
    return urllib.request.Request(settings.url).host or settings.url  # noqa: S310


def _reason(error: BaseException) -> str:
    inner = getattr(error, "reason", error)
    return getattr(inner, "strerror", None) or str(inner) or type(error).__name__
