"""Changes tensors inside a PyTorch checkpoint without PyTorch.

A checkpoint is a zip: ``data.pkl`` describes a tree of modules, and ``data/<key>`` holds each
tensor's bytes. Changing values means other bytes; changing a shape means other numbers in the
pickle, whose opcodes (protocol 2) know no offsets and can be replaced one by one.
"""

from __future__ import annotations

import collections
import io
import math
import pickle
import pickletools
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_DTYPES = {"HalfStorage": "<f2", "FloatStorage": "<f4", "LongStorage": "<i8"}
_INTS = ("BININT", "BININT1", "BININT2")
_GETS = ("BINGET", "LONG_BINGET")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same bytes on every day


@dataclass(frozen=True)
class Tensor:
    """Where a tensor's values lie: the zip's ``data/<key>``; ``whole`` unless it is a view."""

    key: str
    dtype: str
    shape: tuple[int, ...]
    whole: bool


class _StandIn:
    """Takes the place of any class in the pickle; keeps what the object was built from."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


def _rebuilt(
    storage: tuple[str, str],
    offset: int,
    shape: tuple[int, ...],
    stride: tuple[int, ...],
    *_: object,
) -> Tensor:
    dense = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
    return Tensor(storage[0], storage[1], tuple(shape), not offset and stride == dense)


class _Reader(pickle.Unpickler):
    """Reads the tree with stand-ins: nothing that the checkpoint names is imported or run."""

    _KNOWN: ClassVar[dict[str, Any]] = {
        "OrderedDict": collections.OrderedDict,
        "set": set,
        "Size": tuple,
        "_rebuild_tensor_v2": _rebuilt,
        "_rebuild_parameter": lambda data, *_: data,
    }

    def find_class(self, module: str, name: str) -> Any:
        if name.endswith("Storage"):
            return name
        return self._KNOWN.get(name) or type(name, (_StandIn,), {})

    def persistent_load(self, pid: Any) -> tuple[str, str]:
        return pid[2], _DTYPES[pid[1]]


@dataclass
class _Op:
    """One opcode of the pickle with its argument and its bytes."""

    name: str
    arg: Any
    raw: bytes


def _opcodes(pickled: bytes) -> list[_Op]:
    found = [(op.name, arg, at) for op, arg, at in pickletools.genops(pickled)]
    ends = [at or 0 for _, _, at in found[1:]] + [len(pickled)]
    return [_Op(n, a, pickled[at or 0 : end]) for (n, a, at), end in zip(found, ends, strict=True)]


def _int_op(value: int) -> _Op:
    """The shortest opcode that holds ``value``."""
    if value < 1 << 8:
        return _Op("BININT1", value, b"K" + struct.pack("<B", value))
    if value < 1 << 16:
        return _Op("BININT2", value, b"M" + struct.pack("<H", value))
    return _Op("BININT", value, b"J" + struct.pack("<i", value))


def _tensors(module: Any, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every tensor below ``module`` under the name that PyTorch's state_dict gives it."""
    for group in (module._parameters, module._buffers):
        yield from ((prefix + name, t) for name, t in group.items() if t is not None)
    for name, child in module._modules.items():
        yield from _tensors(child, f"{prefix}{name}.")


@dataclass
class Checkpoint:
    """A checkpoint in memory: read it, change tensors, write it elsewhere.

    ``tensors`` maps state_dict names of the network that a loader would take (``ema`` before
    ``model``) to where their values lie.
    """

    files: dict[str, bytes]
    tensors: dict[str, Tensor] = field(init=False)
    _prefix: str = field(init=False)
    _ops: list[_Op] = field(init=False)
    _packed: set[str] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        names = [name for name in self.files if name.endswith("/data.pkl")]
        if len(names) != 1:
            raise ValueError("no data.pkl inside: this is not a checkpoint that torch.save wrote")
        self._prefix = names[0].removesuffix("data.pkl")
        self._ops = _opcodes(self.files[names[0]])
        self._survey()

    @classmethod
    def read(cls, path: Path) -> Checkpoint:
        """Read the checkpoint at ``path``; ValueError when it is none."""
        if not zipfile.is_zipfile(path):
            raise ValueError(f"{path} is not a checkpoint: no zip archive")
        with zipfile.ZipFile(path) as archive:
            return cls({name: archive.read(name) for name in archive.namelist()})

    def _survey(self) -> None:
        content = _Reader(io.BytesIO(b"".join(op.raw for op in self._ops))).load()
        self.tensors = dict(_tensors(content.get("ema") or content["model"]))

    def values(self, name: str) -> Array:
        """A copy of tensor ``name``; ValueError when it is a view of another."""
        tensor = self.tensors[name]
        if not tensor.whole:
            raise ValueError(f"{name} is a view; only whole tensors can be read and changed")
        stored = self.files[f"{self._prefix}data/{tensor.key}"]
        return np.frombuffer(stored, tensor.dtype).reshape(tensor.shape).copy()

    def put(self, name: str, values: Array) -> None:
        """Replace tensor ``name``; a new shape of the same rank goes into the pickle too."""
        tensor = self.tensors[name]
        entry = f"{self._prefix}data/{tensor.key}"
        self.files[entry] = values.astype(tensor.dtype).tobytes()
        if values.shape != tensor.shape:
            self._packed.add(entry)
            self._reshape(tensor, values.shape)
            self._survey()

    def _reshape(self, tensor: Tensor, shape: tuple[int, ...]) -> None:
        """Rewrite ``(…, key, device, numel)`` and the ``offset, size, stride`` that follow it."""
        at = next(
            i
            for i, op in enumerate(self._ops)
            if op.name == "BINUNICODE"
            and op.arg == tensor.key
            and any(after.name == "BINPERSID" for after in self._ops[i : i + 9])
        )
        strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
        wanted = [math.prod(shape), 0, *shape, *strides]
        places = (i for i in range(at, len(self._ops)) if self._ops[i].name in _INTS)
        for value, place in zip(wanted, places, strict=False):
            self._ops[place] = _int_op(value)

    def set_attribute(self, name: str, occurrence: int, old: int, new: int) -> None:
        """Change the ``occurrence``-th attribute ``name`` (an integer, in module order)."""
        first = next(
            i for i, op in enumerate(self._ops) if op.name == "BINUNICODE" and op.arg == name
        )
        memo = self._ops[first + 1].arg
        again = [i + 1 for i, op in enumerate(self._ops) if op.name in _GETS and op.arg == memo]
        place = [first + 2, *again][occurrence]
        if self._ops[place].arg != old:
            raise ValueError(f"{name} number {occurrence} is {self._ops[place].arg}, not {old}")
        self._ops[place] = _int_op(new)

    def write(self, path: Path) -> None:
        """Write the checkpoint; the same content makes the same bytes."""
        self.files[f"{self._prefix}data.pkl"] = b"".join(op.raw for op in self._ops)
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in self.files.items():
                # Grown tensors are mostly zeros; everything else stays as torch.save stores it.
                method = zipfile.ZIP_DEFLATED if name in self._packed else zipfile.ZIP_STORED
                archive.writestr(zipfile.ZipInfo(name, _EPOCH), content, method)
