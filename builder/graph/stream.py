"""An ONNX model as bytes, in pieces: a large network never exists twice in memory.

Serializing a whole model at once needs two to three times its size. The weights are nearly all of
it, so each is serialized alone and framed as the format prescribes: a key, a length, the bytes
(protobuf.dev, "Encoding").
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

_GRAPH_KEY = 7 << 3 | 2  # ModelProto.graph, field 7 (onnx.proto3), with a length
_WEIGHT_KEY = 5 << 3 | 2  # GraphProto.initializer, field 5, with a length


def serialized(model: ModelProto) -> Iterator[bytes]:
    """Yield the bytes of `model`, which is the same model to every reader.

    The same model gives the same bytes, though not those of ``SerializeToString``: the weights come
    last in the graph, and the graph last in the model.
    """
    from onnx import GraphProto, ModelProto

    head, body = ModelProto(), GraphProto()
    for field, value in model.ListFields():
        if field.name != "graph":
            _copy(head, field.name, value)
    for field, value in model.graph.ListFields():
        if field.name != "initializer":
            _copy(body, field.name, value)
    graph = body.SerializeToString(deterministic=True)
    weights = model.graph.initializer
    total = len(graph) + sum(len(_frame(_WEIGHT_KEY, w.ByteSize())) + w.ByteSize() for w in weights)
    yield head.SerializeToString(deterministic=True) + _frame(_GRAPH_KEY, total) + graph
    for weight in weights:
        yield _frame(_WEIGHT_KEY, weight.ByteSize()) + weight.SerializeToString(deterministic=True)


def _copy(target: ModelProto | GraphProto, name: str, value: object) -> None:
    """Set one field, repeated or plain; the graph is the only message in either."""
    if hasattr(value, "extend"):
        getattr(target, name).extend(value)
    else:
        setattr(target, name, value)


def _frame(key: int, length: int) -> bytes:
    """Return key and length as protobuf's variable-length integers."""
    return _varint(key) + _varint(length)


def _varint(number: int) -> bytes:
    groups = []
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])
