"""A row of the comparison, and how both sides of it are measured fairly."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """One figure, beside its peer's where there is one.

    Attributes:
        name: stays the same for ever; the README and later runs refer to it.
        peer: what the peer is, None without one.
    """

    name: str
    value: float
    unit: str
    peer: str | None = None
    peer_value: float | None = None

    @property
    def ratio(self) -> float | None:
        """Ours over the peer's."""
        return self.value / self.peer_value if self.peer_value else None

    def to_document(self) -> dict[str, Any]:
        """The JSON form: name, value, unit, peer, peer_value, ratio."""
        document = asdict(self) | {"ratio": self.ratio}
        for name in ("value", "peer_value", "ratio"):
            if document[name] is not None:
                document[name] = float(f"{document[name]:.5g}")
        return document


def interleaved(*sides: Callable[[], float], rounds: int) -> list[float]:
    """The median of what each side gives, measured in turns.

    A machine that is busy with something else for a while then slows all sides alike.
    """
    values: list[list[float]] = [[] for _ in sides]
    for number in range(rounds):
        order = range(len(sides)) if number % 2 == 0 else reversed(range(len(sides)))
        for index in order:
            values[index].append(sides[index]())
    return [statistics.median(series) for series in values]


def timed_ms(work: Callable[[], object], *, least_s: float = 0.05) -> Callable[[], float]:
    """A side that calls ``work`` for about ``least_s`` and gives milliseconds per call."""
    work()

    def measure() -> float:
        calls, began = 0, time.perf_counter()
        while (spent := time.perf_counter() - began) < least_s:
            work()
            calls += 1
        return spent / calls * 1e3

    return measure
