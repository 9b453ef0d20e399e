"""Which classes of a frame were hardly seen lately."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

BLOCKS = 20


class RareClasses:
    """Counts per class the frames that showed it, over a rolling history.

    The history is kept as blocks of counts, so a frame costs O(classes in it) and memory does not
    grow: `BLOCKS` full blocks and the one that is being filled. Nothing is rare before the first
    block is full.

    Args:
        classes: number of classes.
        history: frames that are remembered.
        share: a class in less than this share of them is rare, 0..1.
    """

    def __init__(self, classes: int, history: int, share: float) -> None:
        self.frames = 0
        self._block_frames = max(1, history // BLOCKS)
        self._share = share
        self._counts = [0] * classes
        self._block = [0] * classes
        self._in_block = 0
        self._blocks: deque[list[int]] = deque()

    def update(self, classes: Iterable[int]) -> tuple[int, ...]:
        """Count one frame's (different) classes; those that were rare before it."""
        counts, block = self._counts, self._block
        limit = self._share * self.frames if self._blocks else 0.0
        rare: tuple[int, ...] = ()
        for number in classes:
            if counts[number] < limit:
                rare = (*rare, number)
            counts[number] += 1
            block[number] += 1
        self.frames += 1
        self._in_block += 1
        if self._in_block == self._block_frames:
            self._next_block()
        return rare

    def share(self, number: int) -> float:
        """Share of the remembered frames that show a class; 0 before the first frame."""
        return self._counts[number] / self.frames if self.frames else 0.0

    def _next_block(self) -> None:
        self._blocks.append(self._block)
        self._block, self._in_block = [0] * len(self._counts), 0
        if len(self._blocks) > BLOCKS:
            for number, count in enumerate(self._blocks.popleft()):
                self._counts[number] -= count
            self.frames -= self._block_frames
