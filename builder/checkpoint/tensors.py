"""Tensors of a checkpoint as numpy arrays: views of the file wherever its bytes allow."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from builder.checkpoint.archive import Archive
from builder.checkpoint.refusal import COPY_AGAIN, DISTRUST, Refusal, shorten
from builder.checkpoint.values import Array

MAX_DIMS = 8
MAX_EXPANDED = 1 << 20
"""Numbers in a tensor that repeats its storage (stride 0), such as the grids of a classic head."""

_BFLOAT16 = "bfloat16"

STORAGE_DTYPES = {
    "HalfStorage": "<f2",
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "BFloat16Storage": _BFLOAT16,
    "ByteStorage": "<u1",
    "CharStorage": "<i1",
    "ShortStorage": "<i2",
    "IntStorage": "<i4",
    "LongStorage": "<i8",
    "BoolStorage": "|b1",
}
"""numpy's dtype for each of PyTorch's storage classes. numpy has no bfloat16: those two bytes are
the upper half of a float32 and are widened to it, which is exact."""


class Storage:
    """One flat run of numbers in the archive, read when it is first wanted."""

    def __init__(self, archive: Archive, key: str, kind: str, count: int) -> None:
        """Check that the entry ``data/<key>`` holds exactly `count` numbers of the class `kind`.

        Raises:
            Refusal: it does not.
        """
        self.kind, self.count = kind, count
        self._archive, self._entry = archive, f"data/{key}"
        self._values: Array | None = None
        name = STORAGE_DTYPES[kind]
        itemsize = 2 if name == _BFLOAT16 else np.dtype(name).itemsize
        held = archive.size(self._entry)
        if count < 0 or held != count * itemsize:
            raise Refusal(
                f"has a storage {shorten(self._entry)} of {shorten(count)} numbers ({kind}), but "
                f"{held} bytes for it",
                COPY_AGAIN,
            )

    def values(self) -> Array:
        """Return all numbers, shape (count,), read-only where they are a view of the file."""
        if self._values is None:
            raw, name = self._archive.read(self._entry), STORAGE_DTYPES[self.kind]
            if name == _BFLOAT16:
                wide = np.frombuffer(raw, "<u2").astype("<u4")
                wide <<= np.uint32(16)  # in place: these may be hundreds of megabytes
                self._values = wide.view("<f4")
            else:
                self._values = np.frombuffer(raw, name)
        return self._values


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Tensor:
    """A view that a checkpoint describes: checked to lie inside its storage, not yet read."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self) -> Array:
        """Return the tensor in the file's own precision (bfloat16 as float32).

        Raises:
            Refusal: the storage's bytes are damaged.
        """
        values = self.storage.values()[self.offset :]
        if prod(self.shape) == 0:
            return np.empty(self.shape, values.dtype)
        steps = tuple(stride * values.itemsize for stride in self.strides)
        return np.lib.stride_tricks.as_strided(values, self.shape, steps, writeable=False)


class Storages:
    """Resolves persistent ids, which is how a checkpoint's pickle names its storages."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._known: dict[str, Storage] = {}

    def find(self, identity: object) -> Storage:
        """Return the storage of ``("storage", class, key, device, count)``.

        Raises:
            Refusal: the id is of another form, or the storage is not in the archive as described.
        """
        match identity:
            case ("storage", StorageClass(kind=kind), str(key), str(), int(count)):
                return self._storage(key, kind, count)
        raise Refusal("has a persistent id that does not name a storage", DISTRUST)

    def _storage(self, key: str, kind: str, count: int) -> Storage:
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = Storage(self._archive, key, kind, count)
        if (known.kind, known.count) != (kind, count):
            raise Refusal(f"describes the storage data/{shorten(key)} in two ways", DISTRUST)
        return known


@dataclass(frozen=True, slots=True)
class StorageClass:
    """One of PyTorch's typed storage classes, by the last part of its name."""

    kind: str


def rebuild_tensor(arguments: tuple[Any, ...]) -> Tensor:
    """Do what ``torch._utils._rebuild_tensor_v2`` does: place a view over a storage.

    Raises:
        Refusal: the view reaches beyond its storage, or repeats it to an implausible size.
    """
    storage, offset, shape, strides, *_ = arguments
    if not isinstance(storage, Storage):
        raise TypeError("a tensor without a storage")
    numbers = (offset, *shape[: MAX_DIMS + 1], *strides[: MAX_DIMS + 1])
    if len(shape) > MAX_DIMS or len(shape) != len(strides):
        raise Refusal(f"has a tensor of {len(shape)} sizes and {len(strides)} strides", DISTRUST)
    if any(type(number) is not int or not 0 <= number < 2**40 for number in numbers):
        raise Refusal("has a tensor with a size, stride or offset that is no count", DISTRUST)
    count = prod(shape)
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if (last if count else offset - 1) >= storage.count:
        raise Refusal(
            f"has a tensor that reaches to number {last} of a storage of {storage.count}", DISTRUST
        )
    if count > max(storage.count, MAX_EXPANDED):
        raise Refusal(f"has a tensor of {count} numbers over {storage.count} stored ones", DISTRUST)
    return Tensor(storage, offset, tuple(shape), tuple(strides))


def rebuild_parameter(arguments: tuple[Any, ...]) -> Tensor:
    """Do what ``torch._utils._rebuild_parameter`` does; a parameter is its tensor here."""
    tensor = arguments[0]
    if not isinstance(tensor, Tensor):
        raise TypeError("a parameter without a tensor")
    return tensor
