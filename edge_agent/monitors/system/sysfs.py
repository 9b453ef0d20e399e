"""What the kernel says below ``/sys``: a Jetson's GPU, thermal zones, throttling.

The places are those of L4T 32 to 36 (JetPack 4 to 6) and of the mainline kernel: the GPU's ``load``
is in tenths of a percent, temperatures in thousandths of a degree, frequencies in Hz.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_GPU_NAMES = re.compile(r"(^|\.)(gpu|gpu-gpc-0|gk20a|gm20b|gp10b|gv11b|ga10b|gb10b)$")
# The PMIC of older boards has no sensor: its zone stands at 100 degrees for ever.
_NO_SENSOR = re.compile(r"pmic", re.IGNORECASE)
# Cooling devices that take speed away; a fan does not.
_SLOWS = re.compile(r"throttle|cpufreq|devfreq|intel_powerclamp|^Processor$", re.IGNORECASE)
_MOST_BYTES = 256


@dataclass(frozen=True)
class _Gauge:
    name: str
    path: Path
    scale: float


class Board:
    """The gauges that this board has; looked for once.

    Args:
        root: below which ``sys`` lies.
    """

    def __init__(self, root: Path) -> None:
        sys = root / "sys"
        self._gpu = tuple(_gpu(sys))
        self._zones = tuple(_zones(sys / "class/thermal"))
        self._brakes = tuple(_brakes(sys / "class/thermal"))
        self._events = tuple(_events(sys))
        self._cores = tuple(sys.glob("devices/system/cpu/cpu*/thermal_throttle"))

    @property
    def has_gpu(self) -> bool:
        """Whether sysfs knows a GPU's load."""
        return any(gauge.name == "gpu_percent" for gauge in self._gpu)

    def read(self) -> dict[str, float | int]:
        """``gpu_percent``, ``gpu_mhz``, ``temperature_<zone>_c`` and the hottest as
        ``temperature_c``, ``throttled`` (1 or 0), ``throttle_<what>_total``.
        """
        values: dict[str, float | int] = dict(_read(self._gpu))
        zones = {name: value for name, value in _read(self._zones) if -40 < value < 150}
        values |= zones
        if zones:
            values["temperature_c"] = max(zones.values())
        states = [state for path in self._brakes if (state := number(path)) is not None]
        if states:
            values["throttled"] = int(any(state > 0 for state in states))
        values |= {name: int(value) for name, value in _read(self._events)}
        cores = [
            count
            for folder in self._cores
            if (count := number(folder / "core_throttle_count")) is not None
        ]
        if cores:  # the threads of a core share its counter: the largest, not the sum
            values["throttle_cpu_total"] = int(max(cores))
        return values


def number(path: Path) -> float | None:
    """The number in a file; None where there is none, or no answer (sensors may be asleep)."""
    try:
        value = float(line(path))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def line(path: Path) -> str:
    """The first line of a file; "" where there is none."""
    try:
        with path.open("rb") as file:
            return file.read(_MOST_BYTES).split(b"\n", 1)[0].strip(b"\0 \t\r").decode("ascii")
    except (OSError, UnicodeDecodeError):
        return ""


def plain(text: str) -> str:
    """A name fit for a key: lower case, words joined by underscores."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def unique(names: Iterable[tuple[str, Path]]) -> Iterator[tuple[str, Path]]:
    """The same pairs; a name that came before gets a number, as two sensors may share one."""
    seen: dict[str, int] = {}
    for name, path in names:
        seen[name] = seen.get(name, 0) + 1
        yield (name if seen[name] == 1 else f"{name}_{seen[name]}"), path


def in_order(folder: Path, pattern: str, known: Callable[[Path], bool]) -> list[Path]:
    """Entries by the number in their names, so that numbered names mean the same after a boot."""
    found = [path for path in folder.glob(pattern) if known(path)]
    return sorted(found, key=lambda path: (int(re.sub(r"\D", "", path.name) or 0), path.name))


def _read(gauges: Iterable[_Gauge]) -> Iterator[tuple[str, float]]:
    for gauge in gauges:
        value = number(gauge.path)
        if value is not None:
            yield gauge.name, round(value * gauge.scale, 3)


def _gpu(sys: Path) -> Iterator[_Gauge]:
    clocks = sorted(
        path for path in (sys / "class/devfreq").glob("*") if _GPU_NAMES.search(path.name)
    )
    loads = [path / "device/load" for path in clocks]
    loads += [sys / "devices/gpu.0/load", sys / "devices/platform/gpu.0/load"]
    load = next((path for path in loads if path.exists()), None)
    if load is not None:
        yield _Gauge("gpu_percent", load, 0.1)
    if clocks:
        yield _Gauge("gpu_mhz", clocks[0] / "cur_freq", 1e-6)


def _zones(thermal: Path) -> Iterator[_Gauge]:
    named = []
    for zone in in_order(thermal, "thermal_zone*", lambda path: (path / "type").exists()):
        kind = line(zone / "type")
        if kind and not _NO_SENSOR.search(kind):
            name = re.sub(r"_(thermal|therm)$", "", plain(kind)) or "zone"
            named.append((name, zone / "temp"))
    for name, path in unique(named):
        yield _Gauge(f"temperature_{name}_c", path, 1e-3)


def _brakes(thermal: Path) -> Iterator[Path]:
    for device in in_order(thermal, "cooling_device*", lambda path: (path / "type").exists()):
        if _SLOWS.search(line(device / "type")):
            yield device / "cur_state"


def _events(sys: Path) -> Iterator[_Gauge]:
    """Counters of over-current events, by which a Jetson brakes within microseconds."""
    for chip in in_order(sys / "class/hwmon", "hwmon*", lambda path: path.is_dir()):
        for path in sorted(chip.glob("oc*_event_cnt")):
            yield _Gauge(f"throttle_{path.name.partition('_')[0]}_total", path, 1.0)
