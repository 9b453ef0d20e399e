"""The sides of every tensor of a graph, node by node, without running it.

ONNX's own rules say what each operator gives. The few numbers that come from shapes alone, as in
exports with free sides, are computed on the way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto, TypeProto

_FEW = 4096
"""Numbers up to which a value is computed here; what becomes a shape has a dozen."""

_COMPUTED = frozenset((
    "Add", "Cast", "Ceil", "Concat", "Constant", "ConstantOfShape", "Div", "Equal", "Expand",
    "Floor", "Gather", "Identity", "Max", "Min", "Mod", "Mul", "Neg", "ReduceProd", "Reshape",
    "Slice", "Squeeze", "Sub", "Transpose", "Unsqueeze", "Where",
))  # fmt: skip
"""What exports compute shapes with. Nothing else of a stranger's is computed before it is known to
be small."""


class Unfit(Exception):
    """Why a node is refused."""


@dataclass
class Known:
    """By the name of a tensor: its type with every side; its value where that is small; and whether
    it is the same for every picture.
    """

    types: dict[str, TypeProto] = field(default_factory=dict)
    values: dict[str, TensorProto] = field(default_factory=dict)
    fixed: set[str] = field(default_factory=set)

    def shape(self, name: str) -> tuple[int, ...]:
        """The sides of a tensor."""
        return tuple(dim.dim_value for dim in self.types[name].tensor_type.shape.dim)

    def numbers(self, name: str) -> int:
        """How many numbers a tensor has."""
        return prod(self.shape(name))


def given(model: ModelProto) -> Known:
    """What is known before the first node: the picture's size and the weights'."""
    from onnx import TypeProto, helper

    known = Known()
    for one in model.graph.input:
        kind = TypeProto()
        kind.CopyFrom(one.type)
        for dim in kind.tensor_type.shape.dim:
            dim.dim_value = dim.dim_value or 1
        known.types[one.name] = kind
    for weight in model.graph.initializer:
        known.fixed.add(weight.name)
        known.types[weight.name] = helper.make_tensor_type_proto(weight.data_type, weight.dims)
        if prod(weight.dims) <= _FEW:
            known.values[weight.name] = weight
    return known


def follow(model: ModelProto, node: NodeProto, known: Known) -> dict[str, int]:
    """Learn the shapes of a node's outputs, and their values where they are small.

    Returns:
        How many numbers each output has.

    Raises:
        Unfit: they do not fit, or nobody can know them.
    """
    if node.op_type == "Shape" or all(n in known.fixed for n in node.input if n):
        known.fixed.update(node.output)
    sizes = {}
    for name, kind in _inferred(model, node, known).items():
        known.types[name] = kind
        sizes[name] = _size(name, kind)
    few = all(size <= _FEW for size in sizes.values())
    if node.op_type == "Shape":
        known.values[node.output[0]] = _shape_of(node, known)
    elif few and node.op_type in _COMPUTED and all(n in known.values for n in node.input if n):
        known.values |= _computed(model, node, known)
    return sizes


def _inferred(model: ModelProto, node: NodeProto, known: Known) -> dict[str, TypeProto]:
    from onnx import defs, shape_inference

    version = next(one.version for one in model.opset_import if one.domain in ("", "ai.onnx"))
    names = [name for name in node.input if name]
    try:
        made = shape_inference.infer_node_outputs(
            defs.get_schema(node.op_type, version),
            node,
            {name: known.types[name] for name in names},
            {name: known.values[name] for name in names if name in known.values},
            opset_imports=list(model.opset_import),
            ir_version=model.ir_version,
        )
    except Exception as error:
        reason = " ".join(str(error).split())[:120]
        raise Unfit(f"its sizes do not fit ({reason}); export it again") from None
    if missing := [name for name in node.output if name and name not in made]:
        raise Unfit(_unknown(missing[0]))
    return {name: kind for name, kind in made.items() if name}


def _unknown(name: str) -> str:
    return (
        f"how large {name[:60]} is cannot be known before it runs; export it for pictures of one"
        " size"
    )


def _size(name: str, kind: TypeProto) -> int:
    from onnx import TensorProto

    tensor = kind.tensor_type
    sides = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim]
    if not tensor.HasField("shape") or min(sides, default=0) < 0:
        raise Unfit(_unknown(name))
    if tensor.elem_type == TensorProto.STRING:
        raise Unfit("works on texts")
    return prod(sides)


def _shape_of(node: NodeProto, known: Known) -> TensorProto:
    import numpy as np
    from onnx import numpy_helper

    shape = known.shape(node.input[0])
    part = slice(attribute(node, "start", 0), attribute(node, "end", None))
    return numpy_helper.from_array(np.array(shape[part], np.int64))


def _computed(model: ModelProto, node: NodeProto, known: Known) -> dict[str, TensorProto]:
    """The values of small outputs; none where they cannot be computed."""
    import numpy as np
    from onnx import helper, numpy_helper
    from onnx.reference import ReferenceEvaluator

    ends = [
        [helper.make_value_info(name, known.types[name]) for name in names if name]
        for names in (dict.fromkeys(node.input), node.output)
    ]
    one = helper.make_model(
        helper.make_graph([node], "one", *ends), opset_imports=model.opset_import
    )
    try:
        given = {n: numpy_helper.to_array(known.values[n]) for n in node.input if n}
        with np.errstate(all="ignore"):
            made = ReferenceEvaluator(one).run(None, given)
        values = [numpy_helper.from_array(np.asarray(value)) for value in made]
    except Exception:  # the size then counts as unknown, if another node asks for it
        return {}
    return dict(zip((name for name in node.output if name), values, strict=True))


def attribute(node: NodeProto, name: str, default: Any) -> Any:
    """An attribute of a node, or its default."""
    from onnx import helper

    found = [one for one in node.attribute if one.name == name]
    return helper.get_attribute_value(found[0]) if found else default
