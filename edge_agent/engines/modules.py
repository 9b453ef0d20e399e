"""TensorRT (the GPU of this machine) and TensorRT-RTX (named GPUs, without one)."""

from __future__ import annotations

import ctypes
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_agent.engines.names import missing
from edge_agent.errors import ModelError

MODULES = {"tensorrt": "tensorrt", "trt-rtx": "tensorrt_rtx"}
_ADVICE = {
    "tensorrt": "on a Jetson it comes with JetPack (python3-libnvinfer); elsewhere `pip install"
    " outpost-edge[tensorrt]`",
    "trt-rtx": "`pip install outpost-edge[trt-rtx]` (x86-64)",
}
_TEGRA = Path("/etc/nv_tegra_release")
_CAPABILITY = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR in cuda.h


@dataclass(frozen=True)
class Gpu:
    """The GPU of this machine: name, compute capability like ``8.7``, driver or L4T release."""

    name: str
    capability: str
    driver: str


def load(kind: str) -> Any:
    """The module of this kind.

    Raises:
        ModelError: it is not installed, or is a version that this code does not know.
    """
    try:
        module = importlib.import_module(MODULES[kind])
    except ImportError as error:
        raise ModelError(f"{kind} is not installed ({error}); {_ADVICE[kind]}") from None
    if absent := missing(module):
        version = getattr(module, "__version__", "without a version")
        raise ModelError(
            f"{kind} {version} lacks {', '.join(absent[:3])}; TensorRT 8.5 to 11 are known here"
        )
    return module


def this_gpu() -> Gpu | None:
    """The first GPU of this machine by the CUDA driver, None when there is none."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    device, version = ctypes.c_int(), ctypes.c_int()
    if cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), 0):
        return None
    name = ctypes.create_string_buffer(256)
    cuda.cuDeviceGetName(name, 256, device)
    cuda.cuDriverGetVersion(ctypes.byref(version))
    parts = []
    for attribute in _CAPABILITY:
        value = ctypes.c_int()
        cuda.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
        parts.append(str(value.value))
    return Gpu(name.value.decode("utf-8", "replace"), ".".join(parts), _driver(version.value))


def _driver(cuda: int) -> str:
    """The L4T release on a Jetson, else the driver's CUDA version."""
    try:
        return " ".join(_TEGRA.read_text(encoding="utf-8").split("\n")[0].strip("# ").split())
    except OSError:
        return f"CUDA {cuda // 1000}.{cuda % 1000 // 10}"
