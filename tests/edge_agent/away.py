"""A disk (`edge_agent.clerk.Disk`) whose work waits until the test has it done."""

from __future__ import annotations

from collections.abc import Callable


class Away:
    """See the module's docstring."""

    def __init__(self):
        self.errands: dict[str, Callable[[], None]] = {}

    def do(self, name: str, errand: Callable[[], None]) -> bool:
        """Remember it; the newest of a name counts."""
        self.errands[name] = errand
        return True

    def come(self) -> None:
        """Do what waits."""
        errands, self.errands = self.errands, {}
        for errand in errands.values():
            errand()
