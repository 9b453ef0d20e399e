"""The power that a Jetson's INA monitors measure, per rail.

L4T 32 has them as IIO devices (``rail_name_0``, ``in_power0_input`` in mW), L4T 34 and later as
hwmon (``in1_label``, ``in1_input`` in mV, ``curr1_input`` in mA; newer chips ``power1_input`` in
µW). Which rails there are, and whether one of them is the whole board, is the board's affair.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_agent.monitors.system.sysfs import in_order, line, number, plain, unique

# Rails through which everything goes: Orin NX/Nano, Xavier NX, TX2; Nano; Thor.
_WHOLE = ("vdd_in", "pom_5v_in", "vin")
# A channel that adds up other channels' shunts is no rail.
_NO_RAIL = re.compile(r"sum of|^nc$", re.IGNORECASE)


@dataclass(frozen=True)
class _Rail:
    """The product of its files' numbers times ``scale`` is its power in watts."""

    name: str
    paths: tuple[Path, ...]
    scale: float

    def watts(self) -> float | None:
        power = self.scale
        for path in self.paths:
            value = number(path)
            if value is None:
                return None
            power *= value
        return round(power, 3)


class Rails:
    """The rails that this board has; looked for once.

    Args:
        root: below which ``sys`` lies.
    """

    def __init__(self, root: Path) -> None:
        found = [*_hwmon(root / "sys/class/hwmon"), *_iio(root / "sys/bus/iio/devices")]
        names = unique((rail.name, rail.paths[0]) for rail in found)
        self._rails = [
            _Rail(name, rail.paths, rail.scale)
            for (name, _), rail in zip(names, found, strict=True)
        ]

    def read(self) -> dict[str, float | int]:
        """``power_<rail>_w``, and ``power_w`` where a rail is the whole board's."""
        values: dict[str, float | int] = {}
        for rail in self._rails:
            watts = rail.watts()
            if watts is not None:
                values[f"power_{rail.name}_w"] = watts
                if rail.name in _WHOLE:
                    values["power_w"] = watts
        return values


def _hwmon(folder: Path) -> Iterator[_Rail]:
    for chip in in_order(folder, "hwmon*", lambda path: line(path / "name").startswith("ina")):
        for label in sorted(chip.glob("in*_label")):
            channel = label.name[2:].partition("_")[0]
            name = line(label)
            power, current = chip / f"power{channel}_input", chip / f"curr{channel}_input"
            if not plain(name) or _NO_RAIL.search(name):
                continue
            if power.exists():
                yield _Rail(plain(name), (power,), 1e-6)
            elif current.exists():
                yield _Rail(plain(name), (chip / f"in{channel}_input", current), 1e-6)


def _iio(folder: Path) -> Iterator[_Rail]:
    for chip in in_order(folder, "iio:device*", lambda path: (path / "rail_name_0").exists()):
        for label in sorted(chip.glob("rail_name_*")):
            power = chip / f"in_power{label.name.rpartition('_')[2]}_input"
            if plain(line(label)) and power.exists():
                yield _Rail(plain(line(label)), (power,), 1e-3)
