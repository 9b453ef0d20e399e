"""numpy scalars and arrays inside a checkpoint's pickle, such as ``best_fitness``.

Under pickle protocol 2 numpy stores an array as text: its bytes read as Latin-1, to be turned back
with ``_codecs.encode``. Nothing is decoded until somebody wants the value, so that a short pickle
cannot ask for the same large array many times.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from builder.checkpoint.refusal import COPY_AGAIN, Refusal, shorten

_DTYPE_CODES = frozenset(["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"])
_ORDERS = frozenset("<|=")
MAX_ARRAY_BYTES = 1 << 18
"""Of an array among the settings: measurements per class, at most."""


def _among(value: object, known: frozenset[str]) -> bool:
    """Whether `value` is one of the texts; hashing a deep tuple would exhaust the C stack."""
    return type(value) is str and value in known


def _is_side(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**31


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Encoded:
    """Bytes that are still the text they were stored as; protocols 3 and 4 store bytes."""

    text: str | bytes

    def to_bytes(self) -> bytes:
        """Return the bytes."""
        return self.text.encode("latin-1") if isinstance(self.text, str) else self.text


@dataclass(slots=True, eq=False, repr=False)
class Dtype:
    """A numpy dtype, by its code such as ``f8``; its byte order arrives with its state."""

    code: str

    def build(self, state: object) -> None:
        """Accept little-endian and order-free types only."""
        if not isinstance(state, tuple) or len(state) < 2 or not _among(state[1], _ORDERS):
            raise Refusal(f"has a numpy dtype with state {shorten(state)}")


@dataclass(slots=True, eq=False, repr=False)
class ArrayShell:
    """A numpy array: empty when it is made, described by its state afterwards."""

    state: tuple[Any, ...] = ()

    def build(self, state: object) -> None:
        """Take over ``(version, shape, dtype, fortran order, bytes)``."""
        if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[2], Dtype):
            raise Refusal("has a numpy array of an unknown kind")
        content = Encoded(state[4]) if isinstance(state[4], bytes) else state[4]
        if not isinstance(content, Encoded):
            raise Refusal("has a numpy array of objects")
        shape = state[1]
        if not isinstance(shape, tuple) or len(shape) > 8 or not all(map(_is_side, shape)):
            raise Refusal("has a numpy array of a shape that is none")
        self.state = (*state[:4], content)

    def tolist(self) -> object:
        """Return the array as nested lists of Python numbers.

        Raises:
            Refusal: the bytes do not fit the shape.
        """
        _, shape, kind, fortran, content = self.state
        if len(content.text) > MAX_ARRAY_BYTES:
            raise Refusal(f"has a numpy array of more than {MAX_ARRAY_BYTES} bytes in its settings")
        values = np.frombuffer(content.to_bytes(), "<" + kind.code)
        if prod(shape) != values.size:
            raise Refusal("has a numpy array whose bytes do not fit its shape", COPY_AGAIN)
        return values.reshape(shape, order="F" if fortran else "C").tolist()


def encode(arguments: tuple[Any, ...]) -> Encoded:
    """Stand in for ``_codecs.encode(text, "latin1")``."""
    text, codec = arguments
    if not isinstance(text, str) or codec not in ("latin1", "latin-1"):
        raise TypeError("an encoding other than latin1")
    return Encoded(text)


def dtype(arguments: tuple[Any, ...]) -> Dtype:
    """Stand in for ``numpy.dtype(code, False, True)``."""
    code = arguments[0]
    if not _among(code, _DTYPE_CODES):
        raise Refusal(f"has a numpy dtype {shorten(code)}")
    return Dtype(code)


def scalar(arguments: tuple[Any, ...]) -> object:
    """Stand in for numpy's ``scalar(dtype, bytes)``: the Python number itself."""
    kind, content = arguments
    content = Encoded(content) if isinstance(content, bytes) else content
    if not isinstance(kind, Dtype) or not isinstance(content, Encoded):
        raise TypeError("a numpy scalar without a dtype or bytes")
    if len(content.text) != np.dtype("<" + kind.code).itemsize:
        raise Refusal("has a numpy scalar whose bytes do not fit its type", COPY_AGAIN)
    return np.frombuffer(content.to_bytes(), "<" + kind.code)[0].item()


def array_shell(arguments: tuple[Any, ...]) -> ArrayShell:
    """Stand in for numpy's ``_reconstruct(ndarray, (0,), b"b")``."""
    return ArrayShell()
