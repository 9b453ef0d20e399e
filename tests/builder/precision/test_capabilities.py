"""Every variant for every GPU that TensorRT-RTX compiles for, for real.

The suite compiles a small YOLOv5u for all and a classic network for Turing, which has the fewest
kernels. ``make engines`` compiles whole networks for all of them; it takes minutes.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from builder.checkpoint import read_checkpoint
from builder.graph import write_onnx
from builder.precision import to_float16, to_int8
from edge_agent.engines.compile import compile_engine
from edge_agent.errors import ModelError
from tests.builder.forge import dump, head, network, odd_layers, write_archive
from tests.edge_agent.engines.conftest import request_for

PRECISIONS = ("fp32", "fp16", "int8")
TURING, AMPERE = "7.5", "8.6"
ROOT = Path(__file__).parents[3]
TRAINED = ROOT / "deploy/demo/models/defects-v2.pt"
CLASSIC = ROOT / "tests/data/classic_yolov5/classic_n.pt"


@cache
def variants(checkpoint: Path, size: int) -> dict[str, onnx.ModelProto]:
    """fp32, fp16 and int8 with a free batch."""
    graph = write_onnx(read_checkpoint(checkpoint), height=size, width=size, batch="dynamic")
    random = np.random.default_rng(5)
    tensors = [random.random((1, 3, size, size), dtype=np.float32) for _ in range(8)]
    return {"fp32": graph, "fp16": to_float16(graph), "int8": to_int8(graph, tensors)}


def capabilities(rtx: Any) -> list[str]:
    """All that the module has, like ``8.6``."""
    names = [name[2:] for name in vars(rtx.ComputeCapability) if name.startswith("SM")]
    return sorted((f"{name[:-1]}.{name[-1]}" for name in names if name.isdigit()), key=float)


def build(rtx: Any, model: onnx.ModelProto, precision: str, capability: str, size: int) -> bytes:
    """The plan."""
    request = request_for(
        precision=precision, capability=capability, shape=(1, 3, size, size), max_batch=4
    )
    return compile_engine(rtx, model.SerializeToString(), request, b"", lambda phase: None).plan


def test_capabilities_of_the_module(rtx):
    """Turing is among them, and what the tests below go through is not empty."""
    assert {TURING, AMPERE, "12.0"} <= set(capabilities(rtx))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_small_network_for_every_capability(rtx, squares, precision):
    """The head of YOLOv5u is written without a float32 matrix product."""
    model = variants(squares, 64)[precision]
    for capability in capabilities(rtx):
        assert len(build(rtx, model, precision, capability, 64)) > 1000


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("checkpoint", [TRAINED, CLASSIC], ids=["yolov5u", "classic"])
def test_whole_network_for_turing(rtx, checkpoint, precision):
    """Nothing else in either network is missing there."""
    assert len(build(rtx, variants(checkpoint, 64)[precision], precision, TURING, 64)) > 10_000


@pytest.mark.parametrize("precision", PRECISIONS)
def test_layers_that_few_networks_have(rtx, tmp_path, precision):
    """Attention and layers that change sizes compile; for Turing, attention does in float16."""
    model = network(odd_layers(), last=head(8, 2, f=[8]))
    path = write_archive(tmp_path / "best.pt", dump({"model": model}))
    assert build(rtx, variants(path, 64)[precision], precision, AMPERE, 64)
    if precision == "fp16":
        assert build(rtx, variants(path, 64)[precision], precision, TURING, 64)


@pytest.mark.parametrize("capability", [TURING, AMPERE])
@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16])
def test_what_turing_lacks(rtx, kind, capability):
    """A float32 matrix product alone is refused for Turing; attention needs two (C3TR).

    When a newer TensorRT-RTX builds it, the note in docs/decisions.md can go.
    """
    model = product(kind)
    if (kind, capability) == (TensorProto.FLOAT, TURING):
        with pytest.raises(ModelError, match=r"for Turing .*FP32 GEMM is not supported"):
            build(rtx, model, "fp32", capability, 64)
    else:
        assert build(rtx, model, "fp16", capability, 64)


def product(kind: int) -> onnx.ModelProto:
    """One matrix product of two inputs of this type."""
    shapes = {"a": [1, 4, 16, 8], "b": [1, 4, 8, 16]}
    inputs = [helper.make_tensor_value_info(name, kind, shape) for name, shape in shapes.items()]
    output = helper.make_tensor_value_info("y", kind, [1, 4, 16, 16])
    node = helper.make_node("MatMul", ["a", "b"], ["y"], name="/only/MatMul")
    graph = helper.make_graph([node], "product", inputs, [output])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.engines
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    "checkpoint, size", [(TRAINED, 256), (CLASSIC, 128)], ids=["yolov5u", "classic"]
)
def test_whole_networks_for_every_capability(rtx, checkpoint, size, precision):
    """As a release has them."""
    model = variants(checkpoint, size)[precision]
    for capability in capabilities(rtx):
        assert len(build(rtx, model, precision, capability, size)) > 100_000
