"""As much of GStreamer's C interface as reading frames from a pipeline needs, by ctypes.

GStreamer 1.x keeps this interface stable (1.10, with `gst_app_sink_try_pull_sample`, is the oldest
that will do), so it works in any virtual environment without bindings that fit its Python.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_ubyte, c_uint32, c_uint64, c_void_p
from typing import Any

from edge_agent.errors import SourceError

SINK = "outpost"
_STATE_NULL, _STATE_PLAYING = 1, 4
_MESSAGE_ERROR = 2
_MAP_READ = 1
_NO_GSTREAMER = (
    "needs GStreamer: apt-get install gstreamer1.0-tools gstreamer1.0-plugins-base"
    " gstreamer1.0-plugins-good (on a Jetson it is there)"
)


class _Error(ctypes.Structure):
    _fields_ = (("domain", c_uint32), ("code", c_int), ("message", c_char_p))


class _Map(ctypes.Structure):
    _fields_ = (
        ("memory", c_void_p), ("flags", c_int), ("data", POINTER(c_ubyte)), ("size", c_size_t),
        ("maxsize", c_size_t), ("user_data", c_void_p * 4), ("reserved", c_void_p * 4),
    )  # fmt: skip


_ErrorPointer = POINTER(_Error)
# Functions by library: name, result, arguments.
_FUNCTIONS: dict[str, tuple[tuple[str, Any, tuple[Any, ...]], ...]] = {
    "libgstreamer-1.0.so.0": (
        ("gst_init_check", c_int, (c_void_p, c_void_p, POINTER(_ErrorPointer))),
        ("gst_parse_launch", c_void_p, (c_char_p, POINTER(_ErrorPointer))),
        ("gst_bin_get_by_name", c_void_p, (c_void_p, c_char_p)),
        ("gst_element_set_state", c_int, (c_void_p, c_int)),
        ("gst_element_get_bus", c_void_p, (c_void_p,)),
        ("gst_bus_timed_pop_filtered", c_void_p, (c_void_p, c_uint64, c_int)),
        ("gst_message_parse_error", None, (c_void_p, POINTER(_ErrorPointer), POINTER(c_void_p))),
        ("gst_mini_object_unref", None, (c_void_p,)),
        ("gst_object_unref", None, (c_void_p,)),
        ("gst_sample_get_buffer", c_void_p, (c_void_p,)),
        ("gst_sample_get_caps", c_void_p, (c_void_p,)),
        ("gst_caps_get_structure", c_void_p, (c_void_p, c_uint32)),
        ("gst_structure_get_int", c_int, (c_void_p, c_char_p, POINTER(c_int))),
        ("gst_structure_get_string", c_char_p, (c_void_p, c_char_p)),
        ("gst_buffer_map", c_int, (c_void_p, POINTER(_Map), c_int)),
        ("gst_buffer_unmap", None, (c_void_p, POINTER(_Map))),
    ),
    "libgstapp-1.0.so.0": (
        ("gst_app_sink_try_pull_sample", c_void_p, (c_void_p, c_uint64)),
        ("gst_app_sink_is_eos", c_int, (c_void_p,)),
    ),
    "libglib-2.0.so.0": (
        ("g_error_free", None, (_ErrorPointer,)),
        ("g_free", None, (c_void_p,)),
    ),
}


class _Library:
    """The functions, typed."""

    def __init__(self) -> None:
        for file, functions in _FUNCTIONS.items():
            try:
                library = ctypes.CDLL(file)
            except OSError:
                raise SourceError(f"{file}: {_NO_GSTREAMER}") from None
            for name, result, arguments in functions:
                function = getattr(library, name)
                function.restype, function.argtypes = result, arguments
                setattr(self, name, function)

    def __getattr__(self, name: str) -> Any:  # for mypy: they are set above
        raise AttributeError(name)


class Sample:
    """One picture as the pipeline gives it; valid until `Pipeline.release`.

    Attributes:
        width, height: in pixels, as the pipeline says.
        format: GStreamer's name, e.g. ``BGRx``.
        data: the bytes.
    """

    def __init__(self, library: _Library, pointer: int) -> None:
        self._library = library
        self._pointer = pointer
        caps = library.gst_sample_get_caps(pointer)
        structure = library.gst_caps_get_structure(caps, 0)
        self.width, self.height = (self._number(structure, name) for name in (b"width", b"height"))
        self.format = (library.gst_structure_get_string(structure, b"format") or b"").decode()
        self._buffer = library.gst_sample_get_buffer(pointer)
        self._map = _Map()
        self._mapped = bool(library.gst_buffer_map(self._buffer, byref(self._map), _MAP_READ))

    @property
    def data(self) -> memoryview:
        """The bytes, without a copy."""
        size = self._map.size if self._mapped else 0
        return memoryview(ctypes.cast(self._map.data, POINTER(c_ubyte * size)).contents).cast("B")

    def release(self) -> None:
        """Give the picture back to the pipeline."""
        if self._mapped:
            self._library.gst_buffer_unmap(self._buffer, byref(self._map))
        self._library.gst_mini_object_unref(self._pointer)

    def _number(self, structure: int, name: bytes) -> int:
        value = c_int(0)
        self._library.gst_structure_get_int(structure, name, byref(value))
        return value.value


class Pipeline:
    """A running pipeline that ends in an appsink of the name `SINK`.

    Raises:
        SourceError: GStreamer is missing, or the pipeline cannot be made or started.
    """

    def __init__(self, text: str) -> None:
        self._library = _Library()
        self._init()
        error = _ErrorPointer()
        self._pipeline = self._library.gst_parse_launch(text.encode(), byref(error))
        if error:
            raise SourceError(self._said(error))
        self._sink = self._library.gst_bin_get_by_name(self._pipeline, SINK.encode())
        self._bus = self._library.gst_element_get_bus(self._pipeline)
        if not self._library.gst_element_set_state(self._pipeline, _STATE_PLAYING):
            reason = self.error() or "the pipeline does not start"
            self.close()
            raise SourceError(reason)

    @property
    def ended(self) -> bool:
        """Whether it gave everything it had."""
        return bool(self._library.gst_app_sink_is_eos(self._sink))

    def pull(self, timeout_s: float) -> Sample | None:
        """The next picture; None when none came in time, at the end and after an error."""
        pointer = self._library.gst_app_sink_try_pull_sample(self._sink, int(timeout_s * 1e9))
        return Sample(self._library, pointer) if pointer else None

    def error(self) -> str:
        """The first error that an element reported since the last call, empty without one."""
        message = self._library.gst_bus_timed_pop_filtered(self._bus, 0, _MESSAGE_ERROR)
        if not message:
            return ""
        error, debug = _ErrorPointer(), c_void_p()
        self._library.gst_message_parse_error(message, byref(error), byref(debug))
        detail = ctypes.string_at(debug.value).decode(errors="replace") if debug.value else ""
        self._library.g_free(debug)
        self._library.gst_mini_object_unref(message)
        lines = [line.strip() for line in detail.splitlines() if line.strip()]
        said = self._said(error)
        return f"{said} ({lines[-1]})" if len(lines) > 1 else said

    def close(self) -> None:
        """Stop it and let go of the camera."""
        self._library.gst_element_set_state(self._pipeline, _STATE_NULL)
        for pointer in (self._sink, self._bus, self._pipeline):
            self._library.gst_object_unref(pointer)

    def _init(self) -> None:
        error = _ErrorPointer()
        if not self._library.gst_init_check(None, None, byref(error)):
            raise SourceError(f"GStreamer cannot begin: {self._said(error)}")

    def _said(self, error: Any) -> str:
        text = (error.contents.message or b"").decode(errors="replace") if error else "no reason"
        if error:
            self._library.g_error_free(error)
        return " ".join(text.split())
