"""SIGTERM (systemd, containers) ends like Ctrl-C: nothing half stays behind."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def tidy_when_terminated() -> Iterator[None]:
    """Turn SIGTERM into KeyboardInterrupt; outside the main thread, change nothing."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
