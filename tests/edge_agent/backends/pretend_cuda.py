"""A CUDA driver in memory: real C functions with the prototypes of cuda.h, a GPU that is slow.

Nothing that is queued in a stream happens before somebody waits for the stream, so whoever reads a
result too early reads rubbish. Handles and addresses need more than 32 bits. Calls in a thread
whose context was not made current fail, as they do for real, and what is wrong in a call is kept in
`faults`, for an exception cannot pass through C::

    cuda = PretendCuda()
    driver = Driver(cuda)                # edge_agent.backends.cuda
    ...
    assert cuda.faults == [] and cuda.held == 0
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int, c_size_t, c_uint, c_ulonglong, c_void_p
from types import SimpleNamespace
from typing import Any

OUT_OF_MEMORY, INVALID_CONTEXT, CAPTURE_INVALIDATED = 2, 201, 901
CONTEXT = 0x7A00_0000_0010
DOUBLE = POINTER(c_void_p)


class PretendCuda:
    """What `ctypes.CDLL("libcuda.so.1")` would be.

    Args:
        memory: bytes of the device.
        capture: whether work can be recorded.
        integrated: whether the device has no memory of its own.

    Attributes:
        faults: calls that a real driver would have answered with a crash.
        calls: names of the calls so far.
    """

    def __init__(
        self, memory: int = 1 << 30, *, capture: bool = True, integrated: bool = False
    ) -> None:
        self.faults: list[str] = []
        self.calls: list[str] = []
        self.memory = memory
        self.capture = capture
        self.integrated = integrated
        self._here = threading.local()
        self._things: dict[int, Any] = {}
        self._next = 0x7B00_0000_0000
        self._recording: dict[int, list[Callable[[], None]]] = {}
        self._kept = {
            "cuInit": (self._nothing, c_uint),
            "cuDeviceGet": (self._device, POINTER(c_int), c_int),
            "cuDeviceGetAttribute": (self._attribute, POINTER(c_int), c_int, c_int),
            "cuDevicePrimaryCtxSetFlags_v2": (self._nothing, c_int, c_uint),
            "cuDevicePrimaryCtxRetain": (self._retain, DOUBLE, c_int),
            "cuDevicePrimaryCtxRelease_v2": (self._release, c_int),
            "cuCtxSetCurrent": (self._enter, c_void_p),
            "cuGetErrorString": (self._words, c_int, POINTER(c_char_p)),
            "cuMemGetInfo_v2": (self._info, POINTER(c_size_t), POINTER(c_size_t)),
            "cuMemAlloc_v2": (self._allocate, POINTER(c_ulonglong), c_size_t),
            "cuMemFree_v2": (self._free, c_ulonglong),
            "cuMemHostAlloc": (self._pin, DOUBLE, c_size_t, c_uint),
            "cuMemFreeHost": (self._free, c_void_p),
            "cuMemcpyHtoDAsync_v2": (self._copy, c_ulonglong, c_void_p, c_size_t, c_void_p),
            "cuMemcpyDtoHAsync_v2": (self._copy, c_void_p, c_ulonglong, c_size_t, c_void_p),
            "cuStreamCreate": (self._stream, DOUBLE, c_uint),
            "cuStreamDestroy_v2": (self._free, c_void_p),
            "cuStreamSynchronize": (self._wait, c_void_p),
            "cuStreamBeginCapture_v2": (self._begin, c_void_p, c_int),
            "cuStreamEndCapture": (self._end, c_void_p, DOUBLE),
            "cuGraphInstantiateWithFlags": (self._instantiate, DOUBLE, c_void_p, c_ulonglong),
            "cuGraphDestroy": (self._free, c_void_p),
            "cuGraphExecDestroy": (self._free, c_void_p),
            "cuGraphLaunch": (self._launch, c_void_p, c_void_p),
        }
        self.contexts = 0
        self._alive = []
        for name, (function, *types) in self._kept.items():
            made = CFUNCTYPE(c_int, *types)(self._guarded(name, function))
            self._alive.append(made)  # C holds no reference
            # What a library hands out has no types; who calls it states them or cuts addresses.
            setattr(self, name, CFUNCTYPE(c_int)(ctypes.cast(made, c_void_p).value))

    @property
    def held(self) -> int:
        """Allocations, streams, graphs and contexts that were not given back."""
        return len(self._things) + self.contexts

    def queue(self, stream: int, work: Callable[[], None]) -> bool:
        """What a library does with a stream: queue work, or have it recorded."""
        if stream in self._recording:
            if not self.capture:
                self._recording[stream].append(self._invalid)
                return False
            self._recording[stream].append(work)
        else:
            self._things[stream].append(work)
        return True

    def _guarded(self, name: str, function: Callable[..., int | None]) -> Callable[..., int]:
        free = name in ("cuInit", "cuDeviceGet", "cuCtxSetCurrent", "cuGetErrorString")
        free = free or name.startswith(("cuDevicePrimary", "cuDeviceGetAttribute"))

        def call(*given: Any) -> int:
            self.calls.append(name)
            if not free and getattr(self._here, "context", None) != CONTEXT:
                return INVALID_CONTEXT
            try:
                return function(*given) or 0
            except Exception as error:
                self.faults.append(f"{name}{given}: {error!r}")
                return 999

        return call

    def _new(self, thing: Any) -> int:
        self._next += 0x100
        self._things[self._next] = thing
        return self._next

    def _nothing(self, *given: Any) -> None:
        pass

    def _invalid(self) -> None:
        raise AssertionError("a capture that failed was run")

    def _device(self, device: Any, ordinal: int) -> None:
        device[0] = ordinal

    def _attribute(self, value: Any, attribute: int, device: int) -> None:
        assert attribute == 18  # CU_DEVICE_ATTRIBUTE_INTEGRATED
        value[0] = int(self.integrated)

    def _retain(self, handle: Any, device: int) -> None:
        self.contexts += 1
        handle[0] = CONTEXT

    def _release(self, device: int) -> None:
        self.contexts -= 1

    def _enter(self, context: int) -> None:
        assert context == CONTEXT
        self._here.context = context

    def _words(self, code: int, text: Any) -> None:
        text[0] = {INVALID_CONTEXT: b"invalid device context"}.get(code, b"a bad day")

    @property
    def _used(self) -> int:
        return sum(len(t) for t in self._things.values() if isinstance(t, ctypes.Array))

    def _info(self, free: Any, total: Any) -> None:
        free[0], total[0] = self.memory - self._used, self.memory

    def _buffer(self, size: int) -> int:
        buffer = ctypes.create_string_buffer(b"\xff" * size, size)
        address = ctypes.addressof(buffer)
        assert address > 1 << 32
        self._things[address] = buffer
        return address

    def _allocate(self, address: Any, size: int) -> int | None:
        if self._used + size > self.memory:
            return OUT_OF_MEMORY
        address[0] = self._buffer(size)
        return None

    def _pin(self, address: Any, size: int, flags: int) -> None:
        address[0] = self._buffer(size)

    def _free(self, handle: int) -> None:
        del self._things[handle]

    def _copy(self, target: int, source: int, size: int, stream: int) -> None:
        for address in (target, source):
            assert size <= len(self._things[address]), "a copy beyond the end"
        self.queue(stream, lambda: ctypes.memmove(target, source, size))

    def _stream(self, handle: Any, flags: int) -> None:
        handle[0] = self._new([])

    def _wait(self, stream: int) -> None:
        queued = self._things[stream]
        while queued:
            queued.pop(0)()

    def _begin(self, stream: int, mode: int) -> None:
        assert stream in self._things and stream not in self._recording
        self._recording[stream] = []

    def _end(self, stream: int, graph: Any) -> int | None:
        recorded = self._recording.pop(stream)
        if self._invalid in recorded:
            graph[0] = None
            return CAPTURE_INVALIDATED
        graph[0] = self._new(SimpleNamespace(work=recorded))
        return None

    def _instantiate(self, handle: Any, graph: int, flags: int) -> None:
        handle[0] = self._new(SimpleNamespace(work=self._things[graph].work))

    def _launch(self, graph: int, stream: int) -> None:
        self._things[stream] += self._things[graph].work
