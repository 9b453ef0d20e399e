"""Whole networks in the forms that YOLOv5 was published in, with either head, on 2 to 5 levels."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

from builder.checkpoint import read_checkpoint
from builder.graph import serialized, write_onnx
from tests.builder.parity import difference, infer

torch = pytest.importorskip("torch", reason="needs the reference extra")
reference = pytest.importorskip("tests.builder.reference", reason="needs the reference extra")
pytest.importorskip("onnxruntime", reason="needs the cpu extra")

TOLERANCE = 1e-5


def pyramid(first: int, levels: int) -> dict[str, Any]:
    """A top-down pyramid of `levels`, the finest of stride 2 ** `first`."""
    depth = first + levels - 1
    backbone = [[-1, 1, "Conv", [8, 3, 2]] for _ in range(depth)]
    head: list[list[Any]] = [[-1, 1, "C3", [16]]]
    outputs = [depth]
    for level in reversed(range(first - 1, depth - 1)):
        head += [
            [-1, 1, "nn.Upsample", [None, 2, "nearest"]],
            [[-1, level], 1, "Concat", [1]],
            [-1, 1, "C3", [16, False]],
        ]
        outputs.insert(0, depth + len(head) - 1)
    return {"nc": 3, "backbone": backbone, "head": [*head, [outputs, 1, "Detect", ["nc"]]]}


def exchanged(layers: dict[str, str], *, only: int | None = None) -> dict[str, Any]:
    """The yolov5n with layers of one class in place of another, all or the backbone's `only`."""
    description = copy.deepcopy(reference.yaml_of("yolov5n.yaml"))
    for index, layer in enumerate(description["backbone"] + description["head"]):
        if only in (None, index) and index:
            layer[2] = layers.get(layer[2], layer[2])
    return description


def small(name: str) -> dict[str, Any]:
    """A YOLOv3 with an eighth of its channels."""
    return reference.yaml_of(name, depth_multiple=0.33, width_multiple=0.125)


NETWORKS = {
    "yolov3": lambda: small("yolov3.yaml"),
    "yolov3-spp": lambda: small("yolov3-spp.yaml"),
    "yolov3-tiny": lambda: small("yolov3-tiny.yaml"),
    "transformer": lambda: exchanged({"C3": "C3TR"}, only=8),
    "ghost": lambda: exchanged({"Conv": "GhostConv", "C3": "C3Ghost"}),
    "two levels from stride 8": lambda: pyramid(3, 2),
    "four levels from stride 4": lambda: pyramid(2, 4),
    "five levels": lambda: pyramid(3, 5),
}


@pytest.mark.parametrize("head", ["yolov5u", "yolov5-anchor"])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks(tmp_path, name, head):
    """The published forms; two pictures that are not square."""
    model, anchors = reference.build(NETWORKS[name]()), head == "yolov5-anchor"
    if anchors:
        model = reference.with_anchors(model, anchors_per_level=3, old=False)
    model = model.half().float()
    path = tmp_path / "best.pt"
    with reference.original_repository(model) if anchors else nullcontext(model) as saved:
        reference.save(saved, path)
    stride = max(int(model.model[-1].stride.max()), 32)
    images = np.random.default_rng(1).random((2, 3, 2 * stride, 3 * stride), dtype=np.float32)
    checkpoint = read_checkpoint(path)
    assert checkpoint.head == head
    graph = write_onnx(checkpoint, height=2 * stride, width=3 * stride, batch=2)
    found, wanted = infer(b"".join(serialized(graph)), images), reference.forward(model, images)
    assert difference(found, wanted, anchors=anchors) <= TOLERANCE
