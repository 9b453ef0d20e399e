"""The few calls of the CUDA driver that running an engine needs, through ctypes.

``libcuda.so.1`` comes with every NVIDIA driver and with every JetPack, under that one name; the
runtime library's name changes with each major CUDA, and Python bindings would be one more package
to match to it (docs/decisions.md). Names and types are those of ``cuda.h``; functions whose
signature changed carry the suffix of the version that is meant.

TensorRT uses the context that is current in the calling thread. All of us use the device's primary
one, as the CUDA runtime does, so ONNX Runtime and TensorRT in one process share it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import POINTER, c_char_p, c_int, c_size_t, c_uint, c_ulonglong, c_void_p
from typing import Any

import numpy as np

from edge_agent.backends.base import TOO_LARGE, Tensor
from edge_agent.errors import ModelError

LIBRARY = "libcuda.so.1"
PROTOTYPES: dict[str, tuple[Any, ...]] = {
    "cuInit": (c_uint,),
    "cuGetErrorString": (c_int, POINTER(c_char_p)),
    "cuDeviceGet": (POINTER(c_int), c_int),
    "cuDeviceGetAttribute": (POINTER(c_int), c_int, c_int),
    "cuDevicePrimaryCtxSetFlags_v2": (c_int, c_uint),
    "cuDevicePrimaryCtxRetain": (POINTER(c_void_p), c_int),
    "cuDevicePrimaryCtxRelease_v2": (c_int,),
    "cuCtxSetCurrent": (c_void_p,),
    "cuMemGetInfo_v2": (POINTER(c_size_t), POINTER(c_size_t)),
    "cuMemAlloc_v2": (POINTER(c_ulonglong), c_size_t),
    "cuMemFree_v2": (c_ulonglong,),
    "cuMemHostAlloc": (POINTER(c_void_p), c_size_t, c_uint),
    "cuMemFreeHost": (c_void_p,),
    "cuMemcpyHtoDAsync_v2": (c_ulonglong, c_void_p, c_size_t, c_void_p),
    "cuMemcpyDtoHAsync_v2": (c_void_p, c_ulonglong, c_size_t, c_void_p),
    "cuStreamCreate": (POINTER(c_void_p), c_uint),
    "cuStreamDestroy_v2": (c_void_p,),
    "cuStreamSynchronize": (c_void_p,),
    "cuStreamBeginCapture_v2": (c_void_p, c_int),
    "cuStreamEndCapture": (c_void_p, POINTER(c_void_p)),
    "cuGraphInstantiateWithFlags": (POINTER(c_void_p), c_void_p, c_ulonglong),
    "cuGraphDestroy": (c_void_p,),
    "cuGraphExecDestroy": (c_void_p,),
    "cuGraphLaunch": (c_void_p, c_void_p),
}
"""Name -> argument types, as in cuda.h of CUDA 11.4 (JetPack 5) to 13; all return a CUresult."""

_OUT_OF_MEMORY = 2
_INTEGRATED = 18  # CU_DEVICE_ATTRIBUTE_INTEGRATED
_SCHED_BLOCKING_SYNC = 0x04  # a thread that waits for the GPU sleeps; two cores have other work
_NON_BLOCKING = 0x01
_CAPTURE_THREAD_LOCAL = 1


class Driver:
    """One device and its primary context.

    Every method works on the context that `enter` made current in the calling thread.

    Args:
        library: libcuda, or what has its functions.

    Raises:
        ModelError: there is no device.
    """

    def __init__(self, library: Any) -> None:
        self._calls = {name: _function(library, name) for name in PROTOTYPES}
        self._call("cuInit", 0)
        device = c_int()
        self._call("cuDeviceGet", ctypes.byref(device), 0)
        self._device = device.value
        # Refused where another library has begun to use the device: then waiting spins.
        self._calls["cuDevicePrimaryCtxSetFlags_v2"](self._device, _SCHED_BLOCKING_SYNC)
        self._context = self._make("cuDevicePrimaryCtxRetain", self._device)
        self.enter()

    @classmethod
    def open(cls) -> Driver:
        """The driver of this machine; raises `ModelError` when there is none."""
        try:
            library = ctypes.CDLL(LIBRARY)
        except OSError as error:
            raise ModelError(f"no NVIDIA driver is found on this machine ({error})") from None
        return cls(library)

    def enter(self) -> None:
        """Make the context current in this thread: cameras and loaders are threads."""
        self._call("cuCtxSetCurrent", self._context)

    def close(self) -> None:
        """Let go of the context; what was allocated in it must be freed before."""
        self._call("cuDevicePrimaryCtxRelease_v2", self._device)

    def free_bytes(self) -> int:
        """Memory of the device that nobody uses."""
        free, total = c_size_t(), c_size_t()
        self._call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return free.value

    @property
    def integrated(self) -> bool:
        """Whether the device has no memory of its own."""
        value = c_int()
        self._call("cuDeviceGetAttribute", ctypes.byref(value), _INTEGRATED, self._device)
        return bool(value.value)

    def allocate(self, size: int) -> int:
        """An address of ``size`` bytes on the device."""
        address = c_ulonglong()
        self._call("cuMemAlloc_v2", ctypes.byref(address), size)
        return address.value

    def free(self, address: int) -> None:
        """Give back what `allocate` gave."""
        self._call("cuMemFree_v2", address)

    def pinned(self, shape: tuple[int, ...]) -> Tensor:
        """A float32 array in page-locked memory, from which copies run beside computation."""
        count = int(np.prod(shape))
        address = self._make("cuMemHostAlloc", count * 4, 0)
        memory = (ctypes.c_float * count).from_address(address)
        return np.ctypeslib.as_array(memory).reshape(shape)

    def unpin(self, array: Tensor) -> None:
        """Give back what `pinned` gave; nobody may look at it any more."""
        self._call("cuMemFreeHost", array.ctypes.data)

    def stream(self) -> int:
        """A queue of work that waits for no other."""
        return self._make("cuStreamCreate", _NON_BLOCKING)

    def destroy_stream(self, stream: int) -> None:
        """End a queue."""
        self._call("cuStreamDestroy_v2", stream)

    def upload(self, address: int, array: Tensor, stream: int) -> None:
        """Queue the copy of a pinned array to the device."""
        self._call("cuMemcpyHtoDAsync_v2", address, array.ctypes.data, array.nbytes, stream)

    def download(self, array: Tensor, address: int, stream: int) -> None:
        """Queue the copy from the device into a pinned array."""
        self._call("cuMemcpyDtoHAsync_v2", array.ctypes.data, address, array.nbytes, stream)

    def wait(self, stream: int) -> None:
        """Wait until all that was queued is done."""
        self._call("cuStreamSynchronize", stream)

    def record(self, work: Callable[[], None], stream: int) -> int:
        """A graph of what ``work`` queues; nothing of it runs.

        Raises:
            ModelError: something in it cannot be recorded. The stream can be used again.
        """
        self._call("cuStreamBeginCapture_v2", stream, _CAPTURE_THREAD_LOCAL)
        fault: Exception | None = None
        try:
            work()
        except Exception as error:  # the capture must end all the same
            fault = error
        graph = self._make("cuStreamEndCapture", before=(stream,))
        try:
            if fault is not None:
                raise ModelError(f"cannot be recorded: {fault}")
            return self._make("cuGraphInstantiateWithFlags", graph, 0)
        finally:
            self._call("cuGraphDestroy", graph)

    def launch(self, graph: int, stream: int) -> None:
        """Queue a recorded graph."""
        self._call("cuGraphLaunch", graph, stream)

    def destroy_graph(self, graph: int) -> None:
        """Give back what `record` gave."""
        self._call("cuGraphExecDestroy", graph)

    def _make(self, name: str, *after: Any, before: tuple[Any, ...] = ()) -> int:
        """Call a function that writes a handle or an address, and return that."""
        handle = c_void_p()
        self._call(name, *before, ctypes.byref(handle), *after)
        return handle.value or 0

    def _call(self, name: str, *given: Any) -> None:
        code = self._calls[name](*given)
        if code == _OUT_OF_MEMORY:
            raise ModelError(f"the model {TOO_LARGE} on the GPU ({name})")
        if code:
            text = c_char_p()
            self._calls["cuGetErrorString"](code, ctypes.byref(text))
            words = (text.value or b"unknown error").decode("utf-8", "replace")
            raise ModelError(f"{name}: CUDA error {code}: {words}")


def _function(library: Any, name: str) -> Any:
    """A function of the library with its types; without them ctypes cuts addresses to 32 bits."""
    try:
        function = getattr(library, name)
    except AttributeError:
        raise ModelError(f"the NVIDIA driver is too old: it has no {name}") from None
    function.argtypes, function.restype = PROTOTYPES[name], c_int
    return function
