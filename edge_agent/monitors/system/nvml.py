"""What NVIDIA's driver says of its GPUs, through ctypes.

``libnvidia-ml.so.1`` comes with the driver of every discrete GPU; a Python binding would be one
more package to match to it. Names and types are those of ``nvml.h``. No context is made and no
memory of the GPU is taken.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, byref, c_int, c_uint, c_ulonglong, c_void_p
from typing import Any

LIBRARY = "libnvidia-ml.so.1"
_MEGA = 1e6


class Utilization(Structure):
    """nvmlUtilization_t: percent of the last sample period."""

    _fields_ = (("gpu", c_uint), ("memory", c_uint))


class Memory(Structure):
    """nvmlMemory_t: bytes."""

    _fields_ = (("total", c_ulonglong), ("free", c_ulonglong), ("used", c_ulonglong))


PROTOTYPES: dict[str, tuple[Any, ...]] = {
    "nvmlInit_v2": (),
    "nvmlDeviceGetCount_v2": (POINTER(c_uint),),
    "nvmlDeviceGetHandleByIndex_v2": (c_uint, POINTER(c_void_p)),
    "nvmlDeviceGetUtilizationRates": (c_void_p, POINTER(Utilization)),
    "nvmlDeviceGetMemoryInfo": (c_void_p, POINTER(Memory)),
    "nvmlDeviceGetTemperature": (c_void_p, c_int, POINTER(c_uint)),
    "nvmlDeviceGetPowerUsage": (c_void_p, POINTER(c_uint)),
    "nvmlDeviceGetClockInfo": (c_void_p, c_int, POINTER(c_uint)),
    "nvmlDeviceGetCurrentClocksThrottleReasons": (c_void_p, POINTER(c_ulonglong)),
}
"""Name -> argument types; all return an nvmlReturn_t, 0 for success."""

_GPU_SENSOR = 0
_GRAPHICS_CLOCK = 0
# Reasons that take speed away from a GPU that has work: power cap (4), slowdowns by hardware (8),
# heat by software (32) and hardware (64), power brake (128).
_SLOWED = 0x04 | 0x08 | 0x20 | 0x40 | 0x80


class Nvml:
    """The GPUs of one machine.

    Args:
        library: what `ctypes.CDLL` gives.

    Raises:
        OSError: the driver does not answer.
    """

    def __init__(self, library: Any) -> None:
        self._library = library  # its functions do not keep it
        self._calls = {}
        for name, types in PROTOTYPES.items():
            function = getattr(library, name, None)
            if function is not None:
                function.argtypes, function.restype = types, c_int
                self._calls[name] = function
        count = c_uint()
        if not (self._do("nvmlInit_v2") and self._do("nvmlDeviceGetCount_v2", byref(count))):
            raise OSError("NVML does not answer")
        self._gpus = []
        for index in range(count.value):
            handle = c_void_p()
            if self._do("nvmlDeviceGetHandleByIndex_v2", index, byref(handle)):
                self._gpus.append((f"gpu{index or ''}", handle))

    @classmethod
    def load(cls) -> Nvml | None:
        """The driver of this machine; None without one."""
        try:
            return cls(ctypes.CDLL(LIBRARY))
        except OSError:
            return None

    def read(self) -> dict[str, float | int]:
        """``gpu_percent``, ``gpu_memory_used_mb``, ``gpu_memory_percent``, ``gpu_temperature_c``,
        ``gpu_power_w``, ``gpu_mhz``, ``gpu_throttled``; the second GPU's begin with ``gpu1``.
        """
        values: dict[str, float | int] = {}
        for name, handle in self._gpus:
            values |= {f"{name}_{key}": value for key, value in self._one(handle).items()}
        return values

    def _one(self, handle: c_void_p) -> dict[str, float | int]:
        values: dict[str, float | int] = {}
        use, memory, number, reasons = Utilization(), Memory(), c_uint(), c_ulonglong()
        if self._do("nvmlDeviceGetUtilizationRates", handle, byref(use)):
            values["percent"] = use.gpu
        if self._do("nvmlDeviceGetMemoryInfo", handle, byref(memory)) and memory.total:
            values["memory_used_mb"] = round(memory.used / _MEGA, 1)
            values["memory_percent"] = round(100 * memory.used / memory.total, 1)
        if self._do("nvmlDeviceGetTemperature", handle, _GPU_SENSOR, byref(number)):
            values["temperature_c"] = number.value
        if self._do("nvmlDeviceGetPowerUsage", handle, byref(number)):
            values["power_w"] = number.value / 1e3
        if self._do("nvmlDeviceGetClockInfo", handle, _GRAPHICS_CLOCK, byref(number)):
            values["mhz"] = number.value
        if self._do("nvmlDeviceGetCurrentClocksThrottleReasons", handle, byref(reasons)):
            values["throttled"] = int(bool(reasons.value & _SLOWED))
        return values

    def _do(self, name: str, *arguments: Any) -> bool:
        """Whether the driver has this function and did it; a GPU need not know every figure."""
        function = self._calls.get(name)
        return function is not None and function(*arguments) == 0
