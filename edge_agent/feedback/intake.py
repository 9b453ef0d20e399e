"""What the running agent does with verdicts: keeps them in a thread of its own, tells the figures.

Words come from MQTT and from the page; the command line and labelled data sets write into the same
file from other processes, which is noticed. Figures are told when something was said or found since
they were told last, also before this agent started.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from edge_agent.errors import OutpostError, StorageError, UsageError
from edge_agent.feedback.frames import Detected
from edge_agent.feedback.judgement import Judgement
from edge_agent.feedback.performance import performance
from edge_agent.feedback.store import Mark, Store
from edge_agent.feedback.take import Taken, gather, take
from edge_agent.metrics import Message

LOOK_S = 5.0
WAITING_MOST = 64
CAPTURES_S = 60.0
"""Least time between two looks at the captures for frames that are not known."""
AGAIN_S = (6.0, 12.0, CAPTURES_S)
"""When frames that are not known are looked for again: the ring is written every five seconds."""
log = logging.getLogger(__name__)

_Word = tuple[Judgement, Detected | None, "Future[Taken]"]


class Intake:
    """Takes verdicts from any thread; one thread of its own keeps them.

    Args:
        path: of the feedback file; it is made when the first word comes.
        captures: folder of kept frames.
        cameras: of this device.
        tell: takes a message and the version that it is about.
        remind: takes those that an earlier life has told, once, at the start.
        times: gives each camera's integrated autocorrelation time in seconds, where it is known.
        look_s: seconds between two looks at what others wrote, and between two messages.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        path: Path,
        captures: Path,
        cameras: frozenset[str],
        tell: Callable[[Message, int], None],
        *,
        remind: Callable[[Message, int], None],
        times: Callable[[], Mapping[str, float]],
        look_s: float = LOOK_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._captures = captures
        self._cameras = cameras
        self._tell = tell
        self._remind = remind
        self._times = times
        self._look_s = look_s
        self._clock = clock
        self._words: queue.Queue[_Word | None] = queue.Queue(WAITING_MOST)
        self._last: dict[tuple[Any, ...], Message] = {}
        self._told: Mark | None = None
        self._noted = True
        self._again: Iterator[float] = iter(())
        self._again_at = math.inf
        self._captures_at = float("-inf")
        self._complained = ""
        self._thread = threading.Thread(target=self._work, name="feedback intake", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def close(self, timeout_s: float) -> None:
        """Keep what waits, within this time."""
        try:
            self._words.put(None, timeout=timeout_s)
        except queue.Full:
            return
        self._thread.join(timeout_s)

    def put(self, judgement: Judgement, detected: Detected | None = None) -> Future[Taken]:
        """Take a word; returns at once.

        Args:
            judgement: what was said.
            detected: what was reported in that frame, where the caller knows it.

        Returns:
            What becomes of it: what `take` returns or raises.

        Raises:
            UsageError: it is about no camera of this device, or too many words wait.
        """
        if judgement.frame.camera not in self._cameras:
            known = ", ".join(sorted(self._cameras))
            raise UsageError(f'"{judgement.frame.camera}" is not a camera of this device: {known}')
        word: Future[Taken] = Future()
        try:
            self._words.put_nowait((judgement, detected, word))
        except queue.Full:
            raise UsageError(f"{WAITING_MOST} verdicts wait to be kept; try again later") from None
        return word

    def _work(self) -> None:
        store: Store | None = None
        look_at = self._clock()
        while True:
            word = self._next(look_at)
            if isinstance(word, tuple):
                store = self._keep(store, word)
            if self._clock() >= look_at:
                store = self._look(store)
                look_at = self._clock() + self._look_s
            if word is None:
                break
        if store is not None:
            store.close()

    def _next(self, look_at: float) -> _Word | str | None:
        """The next word; "" when it is time to look; None at the end."""
        try:
            return self._words.get(timeout=max(0.01, look_at - self._clock()))
        except queue.Empty:
            return ""

    def _keep(self, store: Store | None, word: _Word) -> Store | None:
        judgement, detected, future = word
        try:
            store = store or Store(self._path)
            # Not among the captures: thousands of files, for a word that anybody can send.
            future.set_result(take(store, judgement, detected=detected))
        except OutpostError as error:
            future.set_exception(error)
        return store

    def _look(self, store: Store | None) -> Store | None:
        """Tell the figures if they changed; trouble is logged once, and looked at again."""
        try:
            if store is None and self._path.exists():
                store = Store(self._path)
            if store is not None:
                self._tell_news(store)
            self._complained = ""
        except StorageError as error:
            if str(error) != self._complained:
                self._complained = str(error)
                log.error("performance is not told: %s", error)
        return store

    def _tell_news(self, store: Store) -> None:
        mark = store.mark()
        if self._told is None:
            self._told = store.told()
            if mark == self._told:
                # What is found only now moves the mark, and is told at the next look.
                for message, version in performance(*gather(store, None, self._times())):
                    self._remind(message, version)
        if mark == self._told and self._clock() < self._again_at:
            # One look later, so that a power cut tells twice rather than not at all.
            if not self._noted and math.isinf(self._again_at):
                store.note_told(mark)
                self._noted = True
            return
        if mark != self._told:
            self._again = iter(AGAIN_S)
        pairs, evidence = gather(store, self._folder(), self._times())
        after_s = next(self._again, math.inf) if evidence.unjoined else math.inf
        self._again_at = self._clock() + after_s
        for message, version in performance(pairs, evidence):
            payload = message.payload
            key = (payload["model"], version, payload["dimension"], payload["slice"])
            if self._last.get(key) != message:
                self._last[key] = message
                self._tell(message, version)
        # Frames that were found just now moved the mark; they are in these figures already.
        self._told, self._noted = mark._replace(detected=store.mark().detected), False

    def _folder(self) -> Path | None:
        """The captures, unless they were looked at a moment ago."""
        now = self._clock()
        if now < self._captures_at:
            return None
        self._captures_at = now + CAPTURES_S
        return self._captures
