"""Forges checkpoints, honest and hostile, without PyTorch.

`dump` writes the pickle of a value that may contain `Global`, `Call`, `New` and `Tensor`;
`write_archive` puts it into the zip that ``torch.save`` would make. `network` gives a small but
complete YOLOv5u to change:

    write_archive(path, dump({"model": network()}))
"""

from __future__ import annotations

import struct
import zipfile
from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np


@dataclass
class Global:
    """A name, as ``module`` and ``name``."""

    module: str
    name: str


@dataclass
class Call:
    """``function(*arguments)``, then the state if there is one."""

    function: Any
    arguments: Any
    state: Any = None


@dataclass
class New:
    """An object made empty and given a state, as modules are."""

    kind: Global
    state: Any
    arguments: tuple = ()


@dataclass
class Persistent:
    """A persistent id."""

    identity: Any


@dataclass
class Raw:
    """Instructions as they are."""

    code: bytes


@dataclass
class Tensor:
    """A tensor with its own storage; every field can be made to lie."""

    values: np.ndarray
    shape: tuple | None = None
    strides: tuple | None = None
    offset: int = 0
    count: int | None = None
    kind: str = "FloatStorage"
    key: str | None = None


@dataclass
class Dump:
    """A pickle and the storages that it names."""

    pickle: bytes
    storages: dict[str, bytes] = field(default_factory=dict)


def dump(value: Any) -> Dump:
    """Return the pickle of `value`, protocol 2."""
    storages: dict[str, bytes] = {}
    return Dump(b"\x80\x02" + encode(value, storages) + b".", storages)


def encode(value: Any, storages: dict[str, bytes]) -> bytes:
    """Return the instructions that leave `value` on the stack."""

    def go(one: Any) -> bytes:
        return encode(one, storages)

    match value:
        case Raw(code):
            return code
        case Global(module, name):
            return f"c{module}\n{name}\n".encode()
        case Call(function, arguments, state):
            build = b"" if state is None else go(state) + b"b"
            return go(function) + go(arguments) + b"R" + build
        case New(kind, state, arguments):
            return go(kind) + go(arguments) + b"\x81" + go(state) + b"b"
        case Persistent(identity):
            return go(identity) + b"Q"
        case Tensor():
            return _tensor(value, storages)
        case None | True | False:
            return {None: b"N", True: b"\x88", False: b"\x89"}[value]
        case int():
            raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            return b"\x8a" + bytes([len(raw)]) + raw
        case float():
            return b"G" + struct.pack(">d", value)
        case str():
            raw = value.encode("utf-8", "surrogatepass")
            return b"X" + struct.pack("<I", len(raw)) + raw
        case tuple():
            return b"(" + b"".join(map(go, value)) + b"t"
        case list():
            return b"](" + b"".join(map(go, value)) + b"e"
        case dict():
            return b"}(" + b"".join(go(k) + go(v) for k, v in value.items()) + b"u"
    raise TypeError(type(value))


def _tensor(tensor: Tensor, storages: dict[str, bytes]) -> bytes:
    values = np.ascontiguousarray(tensor.values)
    key = tensor.key or str(len(storages))
    storages.setdefault(key, values.tobytes())
    count = values.size if tensor.count is None else tensor.count
    shape = values.shape if tensor.shape is None else tensor.shape
    steps = tuple(step // values.itemsize for step in values.strides)
    strides = steps if tensor.strides is None else tensor.strides
    identity = ("storage", Global("torch", tensor.kind), key, "cpu", count)
    rebuild = Global("torch._utils", "_rebuild_tensor_v2")
    hooks = Call(Global("collections", "OrderedDict"), ())
    arguments = (Persistent(identity), tensor.offset, shape, strides, False, hooks)
    return encode(Call(rebuild, arguments), storages)


def write_archive(
    path: Path, dumped: Dump, *, packed: tuple[str, ...] = (), **extra: bytes
) -> Path:
    """Write `dumped` as ``torch.save`` would; entries named in `packed` are deflated."""
    entries = {"data.pkl": dumped.pickle, "byteorder": b"little", "version": b"3\n"}
    entries |= {f"data/{key}": raw for key, raw in dumped.storages.items()}
    entries |= extra
    with zipfile.ZipFile(path, "w") as target:
        for name, raw in entries.items():
            method = zipfile.ZIP_DEFLATED if name in packed else zipfile.ZIP_STORED
            target.writestr(f"archive/{name}", raw, method, compresslevel=1)
    return path


def module(kind: str, children: dict[str, Any] | None = None, **state: Any) -> New:
    """Return a network part: tensors among `state` become parameters."""
    tensors = {name: one for name, one in state.items() if isinstance(one, Tensor)}
    plain = {name: one for name, one in state.items() if name not in tensors}
    groups = {"_parameters": tensors, "_buffers": {}, "_modules": children or {}}
    home, _, name = kind.rpartition(".")
    return New(Global(home, name), {"training": False, **groups, **plain})


def conv2d(channels_in: int, channels_out: int, kernel: int = 1, stride: int = 1) -> New:
    """Return a ``Conv2d`` with bias, weights from a fixed seed."""
    random = np.random.default_rng(channels_in * 1000 + channels_out)
    weight = random.standard_normal((channels_out, channels_in, kernel, kernel)).astype("<f4")
    return module(
        "torch.nn.modules.conv.Conv2d",
        weight=Tensor(weight / sqrt(channels_in * kernel**2)),
        bias=Tensor(random.standard_normal(channels_out).astype("<f4")),
        stride=(stride, stride),
        padding=(kernel // 2, kernel // 2),
        dilation=(1, 1),
        groups=1,
        padding_mode="zeros",
    )


def conv(channels_in: int, channels_out: int, kernel: int = 1, stride: int = 1) -> New:
    """Return a Conv of YOLOv5, its batch norm already folded."""
    children = {
        "conv": conv2d(channels_in, channels_out, kernel, stride),
        "act": module("torch.nn.modules.activation.SiLU"),
    }
    return module("ultralytics.nn.modules.conv.Conv", children)


def sequence(kind: str, parts: list[Any]) -> New:
    """Return a Sequential or ModuleList of `parts`."""
    children = {str(index): part for index, part in enumerate(parts)}
    return module(f"torch.nn.modules.container.{kind}", children)


def pool(**changes: Any) -> New:
    """Return a MaxPool2d of two by two pixels."""
    settings = {"kernel_size": 2, "stride": changes.get("kernel_size", 2), "padding": 0}
    return module("torch.nn.modules.pooling.MaxPool2d", **settings | {"dilation": 1} | changes)


def transposed(channels: int, *, groups: int = 1, stride: int = 2) -> New:
    """Return a ConvTranspose2d that sees `channels` and gives two."""
    return module(
        "torch.nn.modules.conv.ConvTranspose2d", weight=Tensor(np.ones((channels, 2, 2, 2), "<f4")),
        groups=groups, stride=stride, padding=0, dilation=1, output_padding=0,
    )  # fmt: skip


def attention(channels: int = 3, **changes: Any) -> New:
    """Return a TransformerLayer with one head over three channels, its linear layers `channels`."""
    linear = module("torch.nn.modules.linear.Linear", weight=Tensor(np.eye(channels, dtype="<f4")))
    inner = module(
        "torch.nn.modules.activation.MultiheadAttention", {"out_proj": linear},
        in_proj_weight=Tensor(np.ones((9, 3), "<f4")), **{"num_heads": 1} | changes,
    )  # fmt: skip
    parts = dict.fromkeys(("q", "k", "v", "fc1", "fc2"), linear)
    return module("models.common.TransformerLayer", {"ma": inner, **parts})


def odd_layers() -> list[New]:
    """Return layers that few YOLOv5 have, from a picture to 8 channels at an eighth of its size."""
    padding, steps = (0, 1, 0, 1), Call(Global("__builtin__", "xrange"), (0, 0, 1))
    return [
        pool(),
        attention(),
        module("torch.nn.modules.padding.ZeroPad2d", padding=padding),
        pool(stride=1),
        module("models.common.Contract", gain=2),
        module("models.common.Expand", gain=2),
        transposed(3),
        module("models.experimental.Sum", weight=False, iter=steps),
        conv(2, 8, 3, 8),
    ]


def head(channels: int, classes: int, **changes: Any) -> New:
    """Return the head of YOLOv5u for one level of stride 8 that comes from layer 1."""
    bins = np.arange(16, dtype="<f4").reshape(1, 16, 1, 1)
    children = {
        "cv2": sequence("ModuleList", [conv2d(channels, 64)]),
        "cv3": sequence("ModuleList", [conv2d(channels, classes)]),
        "dfl": module(
            "ultralytics.nn.modules.block.DFL",
            {"conv": module("torch.nn.modules.conv.Conv2d", weight=Tensor(bins))},
        ),
    }
    state = {
        "nc": classes,
        "reg_max": 16,
        "stride": Tensor(np.array([8.0], "<f4")),
        "f": [1],
        "i": 2,
    }
    return module("ultralytics.nn.modules.head.Detect", children, **(state | changes))


def network(layers: list[Any] | None = None, *, last: New | None = None, **state: Any) -> New:
    """Return a YOLOv5u of two layers and a head for two classes, or one of the given parts."""
    if layers is None:
        layers = [conv(3, 4, 3, 2), conv(4, 8, 3, 4)]
    for index, layer in enumerate(layers):
        if isinstance(layer, New):
            layer.state.setdefault("f", -1)
            layer.state.setdefault("i", index)
    parts = [*layers, last or head(8, 2)]
    settings = {"names": {0: "scratch", 1: "dent"}, "yaml": {"nc": 2, "ch": 3}} | state
    kind = "ultralytics.nn.tasks.DetectionModel"
    return module(kind, {"model": sequence("Sequential", parts)}, **settings)
