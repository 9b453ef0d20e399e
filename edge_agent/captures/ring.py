"""What has to go so that something new finds room. No I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

BLOCK = 4096  # disks give space in pieces


@dataclass(frozen=True)
class Kept:
    """One capture on the disk.

    Attributes:
        number: counts up in the order of taking; clocks may jump, numbers do not.
        reason: for which it was kept.
        names: its files, the sidecar first: the order in which they are removed.
        size: bytes that they take on the disk.
        modified: wall-clock seconds of the last write.
    """

    number: int
    reason: str
    names: tuple[str, ...]
    size: int
    modified: float


class Ring:
    """What is kept, by reason and in the order of taking."""

    def __init__(self, kept: Iterable[Kept] = ()) -> None:
        self.size = 0
        self._by_reason: dict[str, deque[Kept]] = {}
        for item in sorted(kept, key=lambda item: item.number):
            self.add(item)

    def __len__(self) -> int:
        return sum(len(items) for items in self._by_reason.values())

    def add(self, item: Kept) -> None:
        """Take in the newest one."""
        self._by_reason.setdefault(item.reason, deque()).append(item)
        self.size += item.size

    def remove(self, item: Kept) -> None:
        """Forget one."""
        self._by_reason[item.reason].remove(item)
        self.size -= item.size

    def victims(self, size: int, incoming: str) -> list[Kept] | None:
        """Those that have to go to free ``size`` bytes; None when all together are too few.

        The oldest one of the reason that has the most goes first, so that what is plentiful never
        drives out what is rare.

        Args:
            size: bytes.
            incoming: the reason of the one that they go for; it counts as one of its kind.
        """
        if size > self.size:
            return None
        left = {reason: len(items) for reason, items in self._by_reason.items()}
        chosen: list[Kept] = []
        freed = 0
        while freed < size:
            reason = self._plentiful(left, incoming)
            items = self._by_reason[reason]
            victim = items[len(items) - left[reason]]
            left[reason] -= 1
            freed += victim.size
            chosen.append(victim)
        return chosen

    def _plentiful(self, left: Mapping[str, int], incoming: str) -> str:
        """The reason with the most left; of equals, the one whose oldest is the oldest."""

        def rank(reason: str) -> tuple[int, int]:
            items = self._by_reason[reason]
            return left[reason] + (reason == incoming), -items[len(items) - left[reason]].number

        return max((reason for reason, count in left.items() if count), key=rank)


def on_disk(size: int) -> int:
    """Bytes that a file of this size takes."""
    return -(-size // BLOCK) * BLOCK
