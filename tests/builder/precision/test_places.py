"""Head and decoding are found without a look at names."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from builder.precision.places import find_places


def kinds(graph, indexes):
    """The operators at these places."""
    return [graph.node[index].op_type for index in sorted(indexes)]


def test_head_of_the_squares(graph):
    """The two last convolutions are the head; what follows is decoding, with the mean of DFL."""
    places = find_places(graph.graph)
    assert kinds(graph.graph, places.head) == ["Conv", "Conv"]
    decoding = kinds(graph.graph, places.decoding)
    assert decoding.count("Conv") == 1
    assert {"Softmax", "Sigmoid", "Concat"} <= set(decoding)


def test_names_do_not_matter(graph):
    """The same places with every node renamed."""
    other = onnx.ModelProto()
    other.CopyFrom(graph)
    for number, node in enumerate(other.graph.node):
        node.name = f"node_{number}"
    assert find_places(other.graph) == find_places(graph.graph)


def weights(name, *shape):
    """A weight of ones."""
    return numpy_helper.from_array(np.ones(shape, np.float32), name)


def drawn(nodes, initializers):
    """A graph of (kind, inputs, output)."""
    made = [helper.make_node(kind, inputs, [output]) for kind, inputs, output in nodes]
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 8, 8])
    return helper.make_graph(made, "g", [value], [], initializers)


def test_mean_of_a_distribution_is_decoding():
    """The fixed 1 x 1 convolution that other exporters write for DFL is no learned one."""
    graph = drawn(
        [
            ("Conv", ["x", "w"], "a"),
            ("Softmax", ["a"], "b"),
            ("Conv", ["b", "dfl"], "c"),
            ("Sub", ["c", "c"], "d"),
        ],
        [weights("w", 4, 4, 1, 1), weights("dfl", 1, 4, 1, 1)],
    )
    places = find_places(graph)
    assert (places.head, places.decoding) == (frozenset({0}), frozenset({1, 2, 3}))


def test_mean_in_another_layout_is_decoding():
    """Ours has four rows at once, behind a Reshape."""
    graph = drawn(
        [
            ("Conv", ["x", "w"], "a"),
            ("Softmax", ["a"], "b"),
            ("Reshape", ["b", "shape"], "c"),
            ("Conv", ["c", "box"], "d"),
        ],
        [weights("w", 4, 4, 1, 1), weights("box", 4, 4, 1, 1), weights("shape", 4)],
    )
    places = find_places(graph)
    assert (places.head, places.decoding) == (frozenset({0}), frozenset({1, 2, 3}))


def test_attention_is_no_distribution():
    """A detector of one class whose neck has a Softmax: its last convolution is its head."""
    graph = drawn(
        [
            ("Conv", ["x", "w"], "a"),
            ("Softmax", ["a"], "b"),
            ("MatMul", ["b", "a"], "c"),
            ("Reshape", ["c", "shape"], "d"),
            ("Conv", ["d", "score"], "e"),
            ("Sigmoid", ["e"], "out"),
        ],
        [weights("w", 4, 4, 1, 1), weights("score", 1, 4, 1, 1), weights("shape", 4)],
    )
    places = find_places(graph)
    assert (places.head, places.decoding) == (frozenset({4}), frozenset({5}))


def test_branch_begins_below_what_others_share():
    """Convolutions that lead to one output only belong to the head; shared ones do not."""
    graph = drawn(
        [
            ("Conv", ["x", "w"], "shared"),
            ("Conv", ["shared", "w"], "a"),
            ("Relu", ["a"], "b"),
            ("Conv", ["b", "w"], "boxes"),
            ("Conv", ["shared", "w"], "scores"),
            ("Concat", ["boxes", "scores"], "out"),
        ],
        [weights("w", 4, 4, 1, 1)],
    )
    places = find_places(graph)
    assert (places.head, places.decoding) == (frozenset({1, 2, 3, 4}), frozenset({5}))


def test_branch_ends_at_a_join():
    """A concatenation above the last convolution is neck, not head."""
    graph = drawn(
        [
            ("Conv", ["x", "w"], "a"),
            ("Concat", ["a", "x"], "b"),
            ("Conv", ["b", "v"], "out"),
        ],
        [weights("w", 4, 4, 1, 1), weights("v", 4, 8, 1, 1)],
    )
    assert find_places(graph).head == frozenset({2})
