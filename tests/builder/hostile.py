"""Checkpoints that try to run code, to exhaust the reader, or to lie about their tensors.

Each entry: a name, the value or instructions that are put into an otherwise valid checkpoint, and a
part of the sentence with which it must be refused.
"""

from __future__ import annotations

import numpy as np

from tests.builder.forge import Call, Global, New, Persistent, Raw, Tensor, encode, head, network

COMMAND = "touch executed"


def bare(value: object) -> bytes:
    """Return the instructions for a value without storages."""
    return encode(value, {})


def nested(depth: int, opening: bytes, closing: bytes) -> Raw:
    """Return a value inside a value, `depth` times."""
    return Raw(opening * depth + b"N" + closing * depth)


def laughs(levels: int) -> Raw:
    """Return a list of ten times a list of ten times ..., stored once per level."""
    code = b"(]q\x00"
    for level in range(levels):
        code += b"](" + (b"h" + bytes([level])) * 10 + b"eq" + bytes([level + 1])
    return Raw(code + b"t")


def often(value: Raw, times: int) -> Raw:
    """Return a list that holds one value many times, stored once."""
    return Raw(b"](" + value.code + b"q\xff" + b"h\xff" * (times - 1) + b"e")


LONG = Raw(bare("A" * 100_000))
DEEP = nested(400_000, b"", b"\x85")
SYSTEM = Call(Global("os", "system"), (COMMAND,))
DTYPE = Call(Global("numpy", "dtype"), ("f8", False, True))

CODE = {
    "os.system": (SYSTEM, "global os.system"),
    "posix.system": (Call(Global("posix", "system"), (COMMAND,)), "global posix.system"),
    "eval": (Call(Global("builtins", "eval"), ("1",)), "global builtins.eval"),
    "eval, python 2 name": (Call(Global("__builtin__", "eval"), ("1",)), "global builtins.eval"),
    "exec": (Call(Global("builtins", "exec"), ("1",)), "global builtins.exec"),
    "import": (Call(Global("builtins", "__import__"), ("os",)), "global builtins.__import__"),
    "getattr chain": (
        Call(Call(Global("builtins", "getattr"), (Global("os", "path"), "os")), ()),
        "global os.path",
    ),
    "getattr of a part": (
        Call(Global("builtins", "getattr"), (Global("models.common", "Conv"), "__init__")),
        "global builtins.getattr",
    ),
    "getattr of a deep tuple": (
        Call(Global("builtins", "getattr"), (Global("models.common", "Conv"), DEEP)),
        "global builtins.getattr",
    ),
    "getattr of text": (Call(Global("builtins", "getattr"), ("x", "forward")), "builtins.getattr"),
    "attrgetter": (Call(Global("operator", "attrgetter"), ("x",)), "global operator.attrgetter"),
    "dotted name": (Global("torch.nn.modules.conv", "torch.os.system"), "global torch.nn"),
    "dotted name, protocol 4": (
        Raw(b"\x8c\x15ultralytics.nn.tasks.\x8c\x09os.system\x93"),
        "global ultralytics",
    ),
    "torch.load": (Call(Global("torch", "load"), ("x",)), "global torch.load"),
    "torch.hub": (Call(Global("torch.hub", "load"), ("x",)), "global torch.hub.load"),
    "a function beside modules": (
        Call(Global("ultralytics.nn.tasks", "torch_safe_load"), ("x",)),
        "global ultralytics.nn.tasks.torch_safe_load",
    ),
    "subprocess": (Call(Global("subprocess", "Popen"), (["touch", "x"],)), "global subprocess"),
    "numpy's loader": (Call(Global("numpy", "load"), ("x",)), "global numpy.load"),
    "nested in a call": (
        Call(Global("collections", "OrderedDict"), ([("x", SYSTEM)],)),
        "global os.system",
    ),
    "nested in a module": (network(hook=[{"deep": (SYSTEM,)}]), "global os.system"),
    "in a persistent id": (Persistent(("storage", SYSTEM, "0", "cpu", 1)), "global os.system"),
    "a module that is called": (
        Call(Global("torch.nn.modules.conv", "Conv2d"), (1, 1, 1)),
        "calls torch.nn.modules.conv.Conv2d",
    ),
    "a module made with arguments": (
        New(Global("torch.nn.modules.conv", "Conv2d"), {}, arguments=(1,)),
        "creates torch.nn.modules.conv.Conv2d in a way",
    ),
    "a called value": (Call("text", ()), "calls a str"),
    "a new value": (New("text", {}), "creates a str"),
    "state on a class": (
        Raw(bare(Global("torch.nn.modules.conv", "Conv2d")) + b"}b"),
        "sets the state of a Known",
    ),
    "state on a list": (Raw(b"]}b"), "sets the state of a list"),
    "INST": (Raw(b"(X\x01\x00\x00\x00xios\nsystem\n"), "global os.system"),
    "INST of a module": (Raw(b"(itorch.nn.modules.conv\nConv2d\n"), "instruction INST"),
    "OBJ": (Raw(b"(" + bare(Global("collections", "OrderedDict")) + b"o"), "instruction OBJ"),
    "an extension": (Raw(b"\x82\x01"), "instruction EXT1"),
    "a buffer from outside": (Raw(b"\x97"), "instruction NEXT_BUFFER"),
}

EXHAUSTION = {
    "deep lists as settings": (network(yaml=nested(100_000, b"](", b"e")), "8 levels"),
    "deep tuples as a key": (Raw(b"}" + nested(100_000, b"", b"\x85").code + b"Ns"), "key of type"),
    "colliding keys": (Raw(b"}" + bare(2**61 - 1) + b"Ns"), "key of type int"),
    "a billion laughs": (network(names=[laughs(40)] * 2), "class names"),
    "laughing settings": (network(yaml={"x": laughs(40)}), "8 levels or 20000 values"),
    "a deep tuple as a dtype": (Call(Global("numpy", "dtype"), (DEEP,)), "numpy dtype a tuple"),
    "a deep tuple as a byte order": (
        Call(Global("numpy", "dtype"), ("f8",), (3, DEEP)),
        "numpy dtype with state",
    ),
    "a deep tuple as a shape": (
        Call(
            Global("numpy.core.multiarray", "_reconstruct"),
            (Global("numpy", "ndarray"), (0,), "b"),
            (1, (DEEP,), DTYPE, False, Call(Global("_codecs", "encode"), ("", "latin1"))),
        ),
        "shape that is none",
    ),
    "one long class name, many times": (
        network(last=head(8, 2000), names=often(LONG, 2000)),
        "class names of more than",
    ),
    "one long setting, many times": (network(yaml={"x": often(LONG, 5000)}), "characters"),
    "one long key, many times": (
        network(yaml={"x": often(Raw(bare({"A" * 100_000: 1})), 5000)}),
        "characters",
    ),
    "a path of long parts": (
        network(
            yaml={
                "x": Call(
                    Global("pathlib", "PosixPath"),
                    Raw(b"(" + LONG.code + b"q\xff" + b"h\xff" * 20_000 + b"t"),
                )
            }
        ),
        "characters",
    ),
    "a name that clears the screen": (network(names=["\x1b[2J", "b"]), "control characters"),
    "a name written backwards": (network(names=["a\u202eb", "b"]), "control characters"),
    "a name in two lines": (network(names=["a", "b\nc"]), "control characters"),
    "an empty name": (network(names=["a", " "]), "it is empty"),
    "a name for two classes": (network(names=["a", "a"]), "classes 0 and 1"),
    "endless instructions": (Raw(b"N" * 600_000), "more than 500000 instructions"),
    "an endless name": (Raw(b"c" + b"x" * 5000), "endless name"),
    "a long text that is not there": (Raw(b"X\xff\xff\xff\x7f"), "cut short"),
    "a set of a set": (Call(Global("builtins", "set"), ((1,),)), "set of what is not a list"),
    "a range of text": (Call(Global("builtins", "range"), ("x",) * 3), "range of what are not"),
    "a range without end": (Call(Global("__builtin__", "xrange"), (0, 2**70, 1)), "range of what"),
    "a range that stands still": (Call(Global("builtins", "range"), (0, 9, 0)), "damaged pickle"),
    "pop from nothing": (Raw(b"0"), "instruction POP"),
    "no memo": (Raw(b"h\x07"), "damaged pickle"),
    "text that is not UTF-8": (Raw(b"X\x01\x00\x00\x00\xff"), "damaged pickle"),
    "a numpy object array": (
        Call(
            Global("numpy.core.multiarray", "_reconstruct"),
            (Global("numpy", "ndarray"), (0,), "b"),
            (1, (1,), DTYPE, False, [SYSTEM.arguments]),
        ),
        "numpy array of objects",
    ),
    "a numpy scalar of another size": (
        Call(
            Global("numpy.core.multiarray", "scalar"),
            (DTYPE, Call(Global("_codecs", "encode"), ("x" * 99, "latin1"))),
        ),
        "do not fit its type",
    ),
}

TEN = np.arange(10, dtype="<f4")
ONE_KEY = "shared"

TENSORS = {
    "beyond its storage": (Tensor(TEN, shape=(11,), strides=(1,)), "reaches to number 10"),
    "beyond by offset": (Tensor(TEN, offset=1), "reaches to number 10"),
    "beyond by stride": (Tensor(TEN, shape=(4,), strides=(4,)), "reaches to number 12"),
    "negative offset": (Tensor(TEN, offset=-1), "is no count"),
    "negative stride": (Tensor(TEN, shape=(2,), strides=(-1,)), "is no count"),
    "negative size": (Tensor(TEN, shape=(-1,), strides=(1,)), "is no count"),
    "size that overflows": (Tensor(TEN, shape=(2**62, 4), strides=(0, 1)), "is no count"),
    "size as text": (Tensor(TEN, shape=("1",), strides=(1,)), "is no count"),
    "nine dimensions": (Tensor(TEN, shape=(1,) * 9, strides=(1,) * 9), "9 sizes and 9 strides"),
    "sizes without strides": (Tensor(TEN, shape=(1, 1), strides=(1,)), "2 sizes and 1 strides"),
    "repeated without end": (
        Tensor(TEN, shape=(2**20, 10), strides=(0, 1)),
        "10485760 numbers over 10",
    ),
    "empty but enormous": (Tensor(TEN, shape=(0, 2**40), strides=(1, 1)), "is no count"),
    "a storage that says more": (Tensor(TEN, count=11), "11 numbers (FloatStorage), but 40 bytes"),
    "a storage that says less": (Tensor(TEN, count=9), "9 numbers (FloatStorage), but 40 bytes"),
    "a storage of another type": (Tensor(TEN, kind="DoubleStorage"), "but 40 bytes"),
    "a storage of no type": (Tensor(TEN, kind="EvilStorage"), "global torch.EvilStorage"),
    "two storages over the same bytes": (
        [Tensor(TEN, key=ONE_KEY), Tensor(TEN.view("<i4"), kind="IntStorage", key=ONE_KEY)],
        "data/shared in two ways",
    ),
    "a missing storage": (
        Persistent(("storage", Global("torch", "FloatStorage"), "../../etc/passwd", "cpu", 1)),
        "no entry data/../../etc/passwd",
    ),
    "an id that is no storage": (Persistent(("module", 1)), "persistent id"),
    "a tensor without a storage": (
        Call(Global("torch._utils", "_rebuild_tensor_v2"), (None, 0, (1,), (1,), False, None)),
        "without a storage",
    ),
}
