"""The closed list of globals that a YOLOv5 checkpoint may name.

Classes of network parts are listed by the module files that hold them: a part that nobody has heard
of is still read, so that the graph writer can name it. That is safe here, where a stand-in is all
that is ever made, and it keeps the list useful as a gate before another reader: such a class can
only be created empty and given attributes, never called.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from builder.checkpoint.machine import Known
from builder.checkpoint.numpy_values import array_shell, dtype, encode, scalar
from builder.checkpoint.refusal import DISTRUST, Refusal, shorten
from builder.checkpoint.tensors import (
    STORAGE_DTYPES,
    StorageClass,
    rebuild_parameter,
    rebuild_tensor,
)
from builder.checkpoint.values import Module, Namespace, PathParts

_TORCH_PARTS = (
    "activation batchnorm container conv dropout flatten fold instancenorm linear loss "
    "normalization padding pixelshuffle pooling sparse upsampling"
)
_ULTRALYTICS_PARTS = "activation block conv head transformer utils"

_PART_FILES = frozenset(
    [f"torch.nn.modules.{part}" for part in _TORCH_PARTS.split()]
    + ["models.common", "models.experimental", "models.yolo", "utils.activations"]
    + ["ultralytics.nn.modules", "ultralytics.nn.tasks"]
    + [f"ultralytics.nn.modules.{part}" for part in _ULTRALYTICS_PARTS.split()]
    + ["ultralytics.utils.loss", "ultralytics.utils.tal"]
    + ["torch.nn.parallel.data_parallel", "torch.nn.parallel.distributed"]
)
_PART_NAME = re.compile(r"(?:v\d+)?[A-Z][A-Za-z0-9_]*|autoShape|_LinearWithBias", re.ASCII)

_SETTINGS = frozenset(
    {
        "argparse.Namespace",
        "types.SimpleNamespace",
        "ultralytics.utils.IterableSimpleNamespace",
        "ultralytics.yolo.utils.IterableSimpleNamespace",
    }
)
_PATHS = frozenset(
    f"{module}.{name}"
    for module in ("pathlib", "pathlib._local")
    for name in ("Path", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")
)
_DTYPES = frozenset(
    "torch." + name
    for name in [
        "bfloat16",
        "bool",
        "float16",
        "float32",
        "float64",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
    ]
)


def _ordered_dict(arguments: tuple[Any, ...]) -> dict[object, object]:
    if arguments:
        raise TypeError("an OrderedDict with contents in its call")
    return {}


def _items(arguments: tuple[Any, ...]) -> list[object]:
    """Give a set as the list that it was made from: nothing here asks a set anything."""
    (items,) = arguments
    if type(items) is not list:
        raise TypeError("a set of what is not a list")
    return items


def _steps(arguments: tuple[Any, ...]) -> range:
    """Give a range, which holds three numbers and no more."""
    if len(arguments) != 3 or not all(type(one) is int and abs(one) < 2**31 for one in arguments):
        raise TypeError("a range of what are not three numbers")
    return range(*arguments)


def _size(arguments: tuple[Any, ...]) -> tuple[object, ...]:
    (sizes,) = arguments
    if type(sizes) is not tuple:
        raise TypeError("a torch.Size of what is not a tuple")
    return sizes


def _device(arguments: tuple[Any, ...]) -> None:
    """Forget the device: here all tensors live in the file."""


def _empty_settings(kind: str, arguments: tuple[Any, ...]) -> Namespace:
    if arguments:
        raise TypeError(f"a {kind} with contents in its call")
    return Namespace(kind)


_CALLS: dict[str, Callable[[tuple[Any, ...]], object]] = {
    "collections.OrderedDict": _ordered_dict,
    "builtins.set": _items,
    "builtins.range": _steps,
    "builtins.xrange": _steps,  # its name in protocol 2, in a weighted sum of layers
    "torch.Size": _size,
    "torch.device": _device,
    "torch._utils._rebuild_tensor_v2": rebuild_tensor,
    "torch._utils._rebuild_parameter": rebuild_parameter,
    "_codecs.encode": encode,
    "numpy.dtype": dtype,
    "numpy.core.multiarray.scalar": scalar,
    "numpy._core.multiarray.scalar": scalar,
    "numpy.core.multiarray._reconstruct": array_shell,
    "numpy._core.multiarray._reconstruct": array_shell,
} | dict.fromkeys(_PATHS, PathParts)


def find(module: str, name: str) -> object:
    """Return what stands in for the global `name` of `module`.

    Raises:
        Refusal: it is not on the list.
    """
    full = f"{module.replace('__builtin__', 'builtins')}.{name}"
    if full in _CALLS:
        return Known(full, call=_CALLS[full])
    if module == "torch" and name in STORAGE_DTYPES:
        return StorageClass(name)
    if full in _SETTINGS:
        return Known(full, call=partial(_empty_settings, full), new=partial(Namespace, full))
    if module in _PART_FILES and _PART_NAME.fullmatch(name):
        return Known(full, new=partial(Module, full))
    if full in _DTYPES or full == "numpy.ndarray":
        return Known(full)
    raise not_listed(full)


def not_listed(full: str) -> Refusal:
    """The refusal of a dotted name."""
    return Refusal(
        f"names the global {shorten(full)}, which is not on the list of what a YOLOv5 checkpoint "
        "holds",
        DISTRUST,
    )
