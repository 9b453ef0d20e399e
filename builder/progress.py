"""Progress of long work, for a person at a terminal and for a log alike."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

T = TypeVar("T")


class Progress(Protocol):
    """What a build tells while it works."""

    def say(self, text: str) -> None:
        """One line about a step that is done or begins."""

    def warn(self, text: str) -> None:
        """One line that a person should act upon."""

    def track(self, items: Iterable[T], what: str, total: int) -> Iterable[T]:
        """Hand the items through and show how far the work is."""


class Silent:
    """Tells nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def warn(self, text: str) -> None:
        """Nothing."""

    def track(self, items: Iterable[T], what: str, total: int) -> Iterable[T]:
        """Only hand through."""
        return items


class Terminal:
    """Lines on stderr, and a bar where stderr is a terminal; stdout stays for results."""

    def say(self, text: str) -> None:
        """One line."""
        print(text, file=sys.stderr, flush=True)

    def warn(self, text: str) -> None:
        """One line that begins with ``warning``."""
        self.say(f"warning: {text}")

    def track(self, items: Iterable[T], what: str, total: int) -> Iterator[T]:
        """A bar on a terminal, nothing elsewhere."""
        from tqdm import tqdm

        yield from tqdm(items, desc=what, total=total, leave=False, disable=None, unit="image")


class Remembering:
    """Hands on to another progress and keeps the warnings for the summary."""

    def __init__(self, inner: Progress) -> None:
        self.warnings: list[str] = []
        self._inner = inner

    def say(self, text: str) -> None:
        """Handed on."""
        self._inner.say(text)

    def warn(self, text: str) -> None:
        """Kept and handed on."""
        self.warnings.append(text)
        self._inner.warn(text)

    def track(self, items: Iterable[T], what: str, total: int) -> Iterable[T]:
        """Handed on."""
        return self._inner.track(items, what, total)
