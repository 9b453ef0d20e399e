"""System metrics of the device and of this process; a reading that is not there is absent."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_agent.metrics import numbers

_MEGA = 1e6


class SystemReader:
    """Reads by psutil. CPU shares are over the time since the reading before.

    Args:
        folder: its disk is the one reported (the data folder).
    """

    def __init__(self, folder: Path) -> None:
        import psutil

        self._psutil: Any = psutil
        self._process = psutil.Process()
        self._folder = folder
        self._started = time.monotonic()
        # The first answer of psutil's CPU counters is a meaningless 0.0: take it now.
        psutil.cpu_percent(None)
        self._process.cpu_percent(None)

    def rss_mb(self) -> float:
        """Resident memory of this process in MB (10^6 bytes)."""
        return float(self._process.memory_info().rss / _MEGA)

    def read(self) -> dict[str, float | int]:
        """One flat reading: seconds, percent, MB (10^6 bytes), degrees Celsius."""
        psutil, process = self._psutil, self._process
        memory = _try(psutil.virtual_memory)
        disk = _try(lambda: psutil.disk_usage(str(self._folder)))
        return numbers(
            {
                "uptime_s": round(time.monotonic() - self._started, 1),
                "host_uptime_s": _try(lambda: round(time.time() - psutil.boot_time(), 1)),
                "cpu_percent": _try(lambda: psutil.cpu_percent(None)),
                "process_cpu_percent": _try(lambda: process.cpu_percent(None)),
                "rss_mb": round(self.rss_mb(), 1),
                "memory_percent": memory and memory.percent,
                "memory_available_mb": memory and round(memory.available / _MEGA, 1),
                "disk_free_mb": disk and round(disk.free / _MEGA, 1),
                "disk_percent": disk and disk.percent,
                "temperature_c": _try(lambda: _hottest(psutil)),
                "open_files": _try(process.num_fds),
                "threads": _try(process.num_threads),
            }
        )


def _try(read: Callable[[], Any]) -> Any:
    """A reading, or None where the platform does not have it."""
    try:
        return read()
    except (OSError, AttributeError, NotImplementedError, ValueError, RuntimeError):
        return None


def _hottest(psutil: Any) -> float | None:
    """The hottest plausible sensor in degrees Celsius."""
    sensors = psutil.sensors_temperatures()
    readings = [sensor.current for group in sensors.values() for sensor in group]
    return max((value for value in readings if value and -40 < value < 150), default=None)
