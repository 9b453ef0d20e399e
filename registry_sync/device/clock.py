"""Time that neither NTP nor a dead RTC battery can bend.

A trial must not end because the wall clock jumped. Moments are kept as seconds since boot with
the boot's id; after a reboot the time before it is unknown, and the clock starts anew.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any


@lru_cache(maxsize=1)
def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


@dataclass(frozen=True)
class Moment:
    """Wall-clock seconds for people, seconds since boot for rules."""

    wall: float
    boottime: float
    boot: str

    @classmethod
    def now(cls) -> Moment:
        """The present moment."""
        return cls(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME), _boot_id())

    def to_document(self) -> dict[str, Any]:
        """What the journal keeps of it."""
        return {"wall": self.wall, "boottime": self.boottime, "boot": self.boot}

    def since(self, earlier: Mapping[str, Any]) -> float | None:
        """Seconds since a moment kept with `to_document`; None when a reboot lies between."""
        if not earlier or earlier.get("boot") != self.boot:
            return None
        return max(0.0, self.boottime - float(earlier["boottime"]))
