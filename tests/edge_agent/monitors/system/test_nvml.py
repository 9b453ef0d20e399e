"""NVIDIA's driver, played by C functions in memory."""

from __future__ import annotations

import pytest

from edge_agent.monitors.system import SystemReader
from edge_agent.monitors.system.nvml import Nvml
from tests.edge_agent.monitors.system.pretend_nvml import PretendNvml

CARD = {
    "nvmlDeviceGetUtilizationRates": (37, 12),
    "nvmlDeviceGetMemoryInfo": (8_000_000_000, 6_000_000_000, 2_000_000_000),
    "nvmlDeviceGetTemperature": (61,),
    "nvmlDeviceGetPowerUsage": (45_500,),
    "nvmlDeviceGetClockInfo": (1590,),
    "nvmlDeviceGetCurrentClocksThrottleReasons": (0x20,),
}


def test_everything_that_a_card_says():
    """Percent, MB, degrees, watts, MHz; heat slows it down."""
    assert Nvml(PretendNvml(CARD)).read() == {
        "gpu_percent": 37,
        "gpu_memory_used_mb": 2000.0,
        "gpu_memory_percent": 25.0,
        "gpu_temperature_c": 61,
        "gpu_power_w": 45.5,
        "gpu_mhz": 1590,
        "gpu_throttled": 1,
    }


@pytest.mark.parametrize("name", CARD)
def test_what_a_card_does_not_know_is_absent(name):
    """One figure less, never a zero, whether the card or the driver lacks it."""
    whole = Nvml(PretendNvml(CARD)).read()
    poorer = Nvml(PretendNvml({key: value for key, value in CARD.items() if key != name})).read()
    older = Nvml(PretendNvml(CARD, lacking=(name,))).read()
    assert poorer == older and poorer.items() < whole.items()


@pytest.mark.parametrize(("reasons", "slowed"), [(0x0, 0), (0x1, 0), (0x2, 0), (0x4, 1), (0x40, 1)])
def test_an_idle_gpu_is_not_throttled(reasons, slowed):
    """Idle and clocks that somebody set are no trouble; power and heat are."""
    card = {"nvmlDeviceGetCurrentClocksThrottleReasons": (reasons,)}
    assert Nvml(PretendNvml(card)).read() == {"gpu_throttled": slowed}


def test_a_second_gpu_has_names_of_its_own():
    """The first keeps the plain names, so one GPU and two read alike."""
    temperature = "nvmlDeviceGetTemperature"
    both = Nvml(PretendNvml({temperature: (50,)}, {temperature: (70,)})).read()
    assert both == {"gpu_temperature_c": 50, "gpu1_temperature_c": 70}


def test_a_driver_that_does_not_answer_is_none(tmp_path):
    """A library without a driver behind it (a container) costs the rest nothing."""
    with pytest.raises(OSError, match="does not answer"):
        Nvml(PretendNvml(CARD, lacking=("nvmlInit_v2",)))
    reading = SystemReader(tmp_path, root=tmp_path, nvml=lambda: None).read()
    assert "gpu_percent" not in reading and "cpu_percent" in reading
    reading = SystemReader(tmp_path, root=tmp_path, nvml=lambda: Nvml(PretendNvml(CARD))).read()
    assert reading["gpu_percent"] == 37
