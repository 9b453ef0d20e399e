"""NVIDIA's management library in memory: real C functions with the prototypes of nvml.h.

What a GPU does not support answers 3 (NVML_ERROR_NOT_SUPPORTED), as laptops and virtual GPUs do.
"""

from __future__ import annotations

import ctypes
from ctypes import CFUNCTYPE, c_int, c_void_p
from typing import Any

from edge_agent.monitors.system.nvml import PROTOTYPES

NOT_SUPPORTED = 3
UNINITIALIZED = 1
BASE = 0x7F00_0000_1000  # handles need more than 32 bits


class PretendNvml:
    """What `ctypes.CDLL("libnvidia-ml.so.1")` would be.

    Args:
        gpus: per GPU, function -> the numbers that it writes; what is absent is not supported.
        lacking: functions that this driver does not have.
    """

    def __init__(self, *gpus: dict[str, tuple[int, ...]], lacking: tuple[str, ...] = ()) -> None:
        self._gpus = gpus
        self._ready = False
        self._alive = []
        for name, types in PROTOTYPES.items():
            if name not in lacking:
                made = CFUNCTYPE(c_int, *types)(self._made(name))
                self._alive.append(made)  # C holds no reference
                setattr(self, name, CFUNCTYPE(c_int)(ctypes.cast(made, c_void_p).value))

    def _made(self, name: str) -> Any:
        def call(*given: Any) -> int:
            if name == "nvmlInit_v2":
                self._ready = True
                return 0
            if not self._ready:
                return UNINITIALIZED
            if name == "nvmlDeviceGetCount_v2":
                given[0][0] = len(self._gpus)
                return 0
            if name == "nvmlDeviceGetHandleByIndex_v2":
                given[1][0] = BASE + given[0]
                return 0
            return self._answer(name, given[0] - BASE, given[-1])

        return call

    def _answer(self, name: str, index: int, into: Any) -> int:
        numbers = self._gpus[index].get(name)
        if numbers is None:
            return NOT_SUPPORTED
        if hasattr(into.contents, "_fields_"):
            for (field, _), number in zip(into.contents._fields_, numbers, strict=True):
                setattr(into.contents, field, number)
        else:
            (into[0],) = numbers
        return 0
