"""ONNX files of a few hundred bytes that ask for hours or for more memory than there is: `EVIL`."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

node = helper.make_node


def graph(nodes: list[NodeProto], side: int = 64, **constants: Any) -> ModelProto:
    """A model from ``images`` to ``output0``, both (1, 3, side, side), with constants by name."""
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, side, side])
        for name in ("images", "output0")
    ]
    weights = [
        numpy_helper.from_array(np.asarray(value, np.float32 if name < "a" else np.int64), name)
        for name, value in constants.items()
    ]
    made = helper.make_graph(nodes, "g", ends[:1], ends[1:], weights)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _add_mean(name: str) -> list[NodeProto]:
    """Nodes that add a tensor's mean to the picture, so that it is needed."""
    mean = node("ReduceMean", [name], ["mean"], keepdims=0)
    return [mean, node("Add", ["images", "mean"], ["output0"])]


def product(side: int, picture: int = 64) -> ModelProto:
    """Two large matrices of one number, multiplied: ONNX Runtime does that while it loads."""
    nodes = [
        node("ConstantOfShape", ["sides"], ["large"]),
        node("MatMul", ["large", "large"], ["product"]),
    ]
    return graph([*nodes, *_add_mean("product")], picture, sides=[side, side])


def _one(kind: str, *inputs: str, **given: Any) -> ModelProto:
    attributes = {name: given.pop(name) for name in list(given) if name in ("kernel_shape", "pads")}
    return graph([node(kind, ["images", *inputs], ["p"], **attributes), *_add_mean("p")], **given)


EVIL: dict[str, tuple[ModelProto, str]] = {
    "a matrix": (product(20_000), "large has 4.0e.08 numbers .limit 1.3e.08."),
    "a product": (product(2000), "MatMul product: up to here 8.5e.09 multiplications are needed"),
    "a product beside a large picture": (
        product(2000, 1280), "8.5e.09 multiplications are needed before any picture",
    ),
    "Expand": (_one("Expand", "s", s=[100_000, 3, 64, 64]), "p has 1.2e.09 numbers"),
    "Tile": (_one("Tile", "s", s=[1, 1, 5000, 5000]), "p has 3.1e.11 numbers"),
    "Resize": (_one("Resize", "", "S", S=[1, 1, 1e4, 1e4]), "p has 1.2e.12 numbers"),
    "Pad": (_one("Pad", "s", s=[0] * 6 + [10**9, 10**5]), "p has 3.0e.14 numbers"),
    "MaxPool": (
        _one("MaxPool", kernel_shape=[999, 999], pads=[998] * 4), "MaxPool p: up to here 3.4e.12",
    ),
    "Conv": (
        graph([
            node("ConstantOfShape", ["s"], ["w"]),
            node("Conv", ["images", "w"], ["p"], pads=[31] * 4), *_add_mean("p"),
        ], s=[200, 3, 63, 63]),
        "Conv p: up to here 1.0e.10 multiplications are needed for one picture .limit 4.3e.09.",
    ),
    "a shape from the picture's shape": (
        graph([
            node("Shape", ["images"], ["shape"]), node("Mul", ["shape", "s"], ["sides"]),
            node("Expand", ["ONE", "sides"], ["p"]), *_add_mean("p"),
        ], s=[1, 1000, 100, 1], ONE=1),
        "p has 1.2e.09 numbers",
    ),
    "a shape from the picture's content": (
        graph([
            node("ReduceSum", ["images"], ["sum"], keepdims=0),
            node("Cast", ["sum"], ["whole"], to=TensorProto.INT64),
            node("Unsqueeze", ["whole", "s"], ["sides"]),
            node("ConstantOfShape", ["sides"], ["p"]), *_add_mean("p"),
        ], s=[0]),
        "how large p is cannot be known before it runs",
    ),
    "many at one time": (
        graph([
            *[node("Expand", ["images", "s"], [f"e{at}"]) for at in range(30)],
            node("Sum", [f"e{at}" for at in range(30)], ["p"]), *_add_mean("p"),
        ], 2048, s=[3, 3, 2048, 2048]),
        "Expand e14: up to here 5.7e.08 numbers are held at one time .limit 5.4e.08.",
    ),
    "Det": (_one("Det"), "no YOLOv5 has this operator"),
    "many nodes": (
        graph([
            node("Identity", ["images"], ["i0"]),
            *[node("Neg", [f"i{at}"], [f"i{at + 1}"]) for at in range(9000)], *_add_mean("i9000"),
        ]),
        "has 9003 nodes .limit 8000.",
    ),
}  # fmt: skip
"""What each does -> the model, and what the refusal says of it (a pattern)."""
