"""``POST /api/feedback``: what an inspector says on the page, checked, not too often, kept."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import TimeoutError as Late
from http import HTTPStatus

from edge_agent.checked import Fields
from edge_agent.errors import OutpostError, StorageError
from edge_agent.feedback.intake import Intake
from edge_agent.feedback.wire import read_judgement
from edge_agent.page.answer import Answer
from edge_agent.page.shown import Shown

AT_ONCE = 30
PER_SECOND = 1.0
WAIT_S = 5.0


class Bucket:
    """How often something may be done: `most` at once, then so many a second; any thread.

    Args:
        most: at once.
        per_second: that come back.
        clock: monotonic seconds.
    """

    def __init__(
        self, most: float, per_second: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = self._left = most
        self._rate = per_second
        self._clock = clock
        self._at = clock()
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Whether it may be done now; if so it counts."""
        with self._lock:
            now = self._clock()
            self._left = min(self._most, self._left + (now - self._at) * self._rate)
            self._at = now
            if self._left < 1.0:
                return False
            self._left -= 1.0
            return True


class Verdicts:
    """Takes one verdict per document; called from several threads.

    Args:
        intake: keeps it.
        shown: camera -> frames that inspectors see.
        clock: monotonic seconds.
        wall: wall-clock seconds.
    """

    def __init__(
        self,
        intake: Intake,
        shown: Mapping[str, Shown],
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._intake = intake
        self._shown = shown
        self._bucket = Bucket(AT_ONCE, PER_SECOND, clock)
        self._wall = wall

    def __call__(self, body: bytes) -> Answer:
        """Keep a verdict, or say in one line why not."""
        if not self._bucket.take():
            text = f"too many verdicts: {AT_ONCE} at once, then one a second; wait a moment"
            return Answer.refusal(HTTPStatus.TOO_MANY_REQUESTS, text, **{"Retry-After": "2"})
        try:
            fields = Fields(json.loads(body))
        except (ValueError, RecursionError):
            return Answer.refusal(HTTPStatus.BAD_REQUEST, "not JSON")
        judgement = read_judgement(fields, self._wall())
        fields.close()
        if judgement is None or fields.faults:
            return Answer.refusal(HTTPStatus.BAD_REQUEST, "; ".join(fields.faults))
        shown = self._shown.get(judgement.frame.camera)
        detected = shown.detected(judgement.frame) if shown is not None else None
        try:
            taken = self._intake.put(judgement, detected).result(WAIT_S)
        except StorageError as error:
            return Answer.refusal(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        except OutpostError as error:
            return Answer.refusal(HTTPStatus.BAD_REQUEST, str(error))
        except Late:
            text = "the disk takes long; it may be kept yet: look at edge-agent feedback report"
            return Answer.refusal(HTTPStatus.SERVICE_UNAVAILABLE, text)
        return Answer.json({"v": 1, "text": taken.words(), "known": taken.detected is not None})
