"""Log lines are written by a thread of their own: a pipe that nobody reads holds up no frame.

stderr goes to a journal, a file or a terminal; whatever that is, it may stop taking lines. A record
is made into its line's text where it is logged, then waits in a bounded queue.
"""

from __future__ import annotations

import logging
import queue
import threading

LINES_MOST = 1000


class Aside(logging.Handler):
    """Hands records to another handler, in a daemon thread.

    Args:
        target: writes them; used from the thread only, until `finish`.

    Attributes:
        lost: records that found no room.
    """

    def __init__(self, target: logging.Handler, most: int = LINES_MOST) -> None:
        super().__init__()
        self.lost = 0
        self._target = target
        self._waiting: queue.Queue[logging.LogRecord | None] = queue.Queue(most)
        self._told = 0
        self._finished = False
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Line a record up; returns at once."""
        # Arguments may change until the thread comes to it.
        record.msg, record.args = record.getMessage(), None
        if self._finished:
            self._target.handle(record)
            return
        try:
            self._waiting.put_nowait(record)
        except queue.Full:
            self.lost += 1

    def finish(self, timeout_s: float) -> bool:
        """Write what waits, then go on without the thread; False when that took too long."""
        try:
            self._waiting.put(None, timeout=timeout_s)
        except queue.Full:
            return False
        self._thread.join(timeout_s)
        self._finished = not self._thread.is_alive()
        return self._finished

    def _run(self) -> None:
        while (record := self._waiting.get()) is not None:
            self._target.handle(record)
            if self.lost > self._told:
                text = f"{self.lost - self._told} log lines were lost: nobody took them"
                self._told = self.lost
                level = {"levelno": logging.WARNING, "levelname": "WARNING", "name": __name__}
                self._target.handle(logging.makeLogRecord({"msg": text, **level}))
