"""One flat reading of the device and of this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edge_agent.clerk import AtOnce, Disk
from edge_agent.metrics import numbers
from edge_agent.monitors.system.nvml import Nvml
from edge_agent.monitors.system.rails import Rails
from edge_agent.monitors.system.sysfs import Board

SELDOM = (
    "gpu_memory_percent",
    "gpu_memory_used_mb",
    "gpu_mhz",
    "gpu_percent",
    "gpu_power_w",
    "gpu_temperature_c",
    "gpu_throttled",
    "power_w",
    "temperature_c",
    "throttle_cpu_total",
    "throttled",
)
"""Readings that a machine may lack, beside those that bear a sensor's own name."""
_MEGA = 1e6
Values = Mapping[str, float | int]
Probe = Callable[[], Values]
"""Reads what it can; leaves out what is not there and raises nothing."""


class SystemReader:
    """Reads a window's end in a few milliseconds. CPU shares are since the reading before.

    What there is to read is looked for once, here.

    Args:
        folder: its disk is the one reported (the data folder).
        root: below which ``sys`` lies.
        nvml: where the driver's library is had from; None where there is none.
        disk: who asks how full the disk is. The answer is that of the reading before; one that did
            not come is absent.
    """

    def __init__(
        self,
        folder: Path,
        *,
        root: Path = Path("/"),
        nvml: Callable[[], Nvml | None] = Nvml.load,
        disk: Disk | None = None,
    ) -> None:
        import psutil

        self._psutil: Any = psutil
        self._process = psutil.Process()
        self._folder = folder
        self._disk = disk or AtOnce()
        self._space: Any = None
        self._look_at_space()
        self._started = time.monotonic()
        self._board = Board(root)
        probes: list[Probe] = [self._board.read, Rails(root).read]
        # Where sysfs has the GPU it is a Jetson's, about which NVML knows next to nothing.
        driver = None if self._board.has_gpu else nvml()
        if driver is not None:
            probes.append(driver.read)
        self._probes = tuple(probes)
        # The first answer of psutil's CPU counters is a meaningless 0.0: take it now.
        psutil.cpu_percent(None)
        self._process.cpu_percent(None)

    def rss_mb(self) -> float:
        """Resident memory of this process in MB (10^6 bytes)."""
        return float(self._process.memory_info().rss / _MEGA)

    def read(self) -> dict[str, float | int]:
        """One flat reading: seconds, percent, MB (10^6 bytes), degrees Celsius, watts, MHz."""
        values: dict[str, float | int | None] = {**self._host()}
        for probe in self._probes:
            values |= probe()
        if "temperature_c" not in values:
            values["temperature_c"] = _try(lambda: _hottest(self._psutil))
        return numbers(values)

    def _look_at_space(self) -> None:
        def look() -> None:
            self._space = _try(lambda: self._psutil.disk_usage(str(self._folder)))

        self._disk.do("space", look)

    def _host(self) -> dict[str, float | int | None]:
        psutil, process = self._psutil, self._process
        memory = _try(psutil.virtual_memory)
        swap = _try(psutil.swap_memory)
        disk, self._space = self._space, None
        self._look_at_space()
        clock = _try(psutil.cpu_freq)
        return {
            "uptime_s": round(time.monotonic() - self._started, 1),
            "host_uptime_s": _try(lambda: round(time.time() - psutil.boot_time(), 1)),
            "cpu_percent": _try(lambda: psutil.cpu_percent(None)),
            "cpu_mhz": clock and (round(clock.current, 1) or None),
            "process_cpu_percent": _try(lambda: process.cpu_percent(None)),
            "rss_mb": round(self.rss_mb(), 1),
            "memory_percent": memory and memory.percent,
            "memory_available_mb": memory and round(memory.available / _MEGA, 1),
            "swap_used_mb": swap and (round(swap.used / _MEGA, 1) if swap.total else None),
            "disk_free_mb": disk and round(disk.free / _MEGA, 1),
            "disk_percent": disk and disk.percent,
            "open_files": _try(process.num_fds),
            "threads": _try(process.num_threads),
        }


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
