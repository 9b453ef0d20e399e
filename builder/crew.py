"""Work on many pictures with all cores, results in the order of the pictures.

One picture per core uses two cores better than one picture on both (none waits for the other's half
of a layer), and what is computed does not depend on how many cores there are.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")
_AHEAD = 2


def in_order(
    work: Callable[[Item], Made], items: Iterable[Item], workers: int | None = None
) -> Iterator[Made]:
    """What ``work`` makes of each item, in order; at most a few items are held at a time.

    Args:
        work: called in several threads at once.
        items: drawn from the calling thread, just ahead of the work.
        workers: threads; one per core when None.
    """
    many = workers or len(os.sched_getaffinity(0))
    pool = ThreadPoolExecutor(many, thread_name_prefix="crew")
    waiting: deque[Future[Made]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > many + _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:  # an error, Ctrl-C or a caller that has enough: what was not begun never is
        pool.shutdown(wait=True, cancel_futures=True)
