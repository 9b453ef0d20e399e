"""Where the head of a detector is, by operator and place: exporters name nodes as they like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_ACTIVATIONS = {
    "Sigmoid", "Mul", "Relu", "LeakyRelu", "HardSigmoid", "HardSwish", "Clip", "Elu",
}  # fmt: skip
_LAYOUTS = {"Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Identity"}


@dataclass(frozen=True)
class Places:
    """Nodes of a graph by what they are there for, as indexes into ``graph.node``.

    Attributes:
        head: the last convolutions, and those that lead straight to one of them: the branches of
            YOLOv5u's Detect, the last layer of the classic one.
        decoding: everything below the last convolutions: boxes in pixels, scores in 0..1.
    """

    head: frozenset[int]
    decoding: frozenset[int]


def find_places(graph: Any) -> Places:
    """Find head and decoding of a detector.

    Args:
        graph: an ``onnx.GraphProto``; its nodes are in the order in which they run.
    """
    makers = {name: index for index, node in enumerate(graph.node) for name in node.output}
    above = [sorted({makers[n] for n in node.input if n in makers}) for node in graph.node]
    learned = _learned(graph)
    last = _last_below(above, learned)
    decoding = {index for index, reached in enumerate(last) if not reached}
    finals = [index for index in learned if last[index] == {index}]
    head = {index for final in finals for index in _branch(graph, above, last, final)}
    return Places(frozenset(head), frozenset(decoding))


def _learned(graph: Any) -> set[int]:
    """Every convolution but the fixed one that takes the mean of a distribution (DFL).

    That one sees a Softmax, at most in another layout. Attention has a Softmax too, but multiplies
    before the next convolution.
    """
    shares: set[str] = set()
    found = set()
    for index, node in enumerate(graph.node):
        if node.op_type == "Softmax" or (node.op_type in _LAYOUTS and node.input[0] in shares):
            shares.update(node.output)
        if node.op_type == "Conv" and node.input[0] not in shares:
            found.add(index)
    return found


def _last_below(above: list[list[int]], learned: set[int]) -> list[set[int]]:
    """For each node, the last learned convolutions that it is, or that depend on it."""
    last: list[set[int]] = [set() for _ in above]
    for index in reversed(range(len(above))):
        if index in learned and not last[index]:
            last[index] = {index}
        for up in above[index]:
            last[up] |= last[index]
    return last


def _branch(graph: Any, above: list[list[int]], last: list[set[int]], final: int) -> list[int]:
    """The final convolution and the straight way of convolutions and activations that leads to it.

    It begins below the first node that other final convolutions depend on too, or that joins
    several features.
    """
    branch, todo = [], [final]
    while todo:
        index = todo.pop()
        kind = graph.node[index].op_type
        if index in branch or last[index] != {final} or kind not in {"Conv", *_ACTIVATIONS}:
            continue
        branch.append(index)
        todo += above[index]
    return branch
