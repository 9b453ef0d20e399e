"""The classic head and a free batch, in every precision and in a real engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from builder.checkpoint import read_checkpoint
from builder.graph import write_onnx
from builder.precision import to_float16, to_int8
from builder.precision.places import find_places
from edge_agent.engines.compile import compile_engine
from tests.edge_agent.engines.conftest import request_for

CHECKPOINT = Path(__file__).parent.parent.parent / "data/classic_yolov5/classic_n.pt"


@pytest.fixture(scope="module")
def classic():
    """fp32, fp16 and int8 of a classic yolov5n at 64 pixels, with a free batch."""
    checkpoint = read_checkpoint(CHECKPOINT)
    graph = write_onnx(checkpoint, height=64, width=64, batch="dynamic")
    random = np.random.default_rng(5)
    tensors = [random.random((1, 3, 64, 64), dtype=np.float32) for _ in range(8)]
    return {"fp32": graph, "fp16": to_float16(graph), "int8": to_int8(graph, tensors)}


def test_three_levels_are_the_head(classic):
    """The last convolution of each; the neck above P5's only output is neck, up to its join."""
    graph = classic["fp32"].graph
    kinds = [graph.node[index].op_type for index in sorted(find_places(graph).head)]
    assert kinds.count("Conv") == 4


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_close_for_one_and_for_two_pictures(classic, precision):
    """Objectness and scores of both pictures of a batch."""
    random = np.random.default_rng(6)
    pictures = random.random((2, 3, 64, 64), dtype=np.float32)
    onnx.checker.check_model(classic[precision], full_check=True)
    wanted, found = (
        ort.InferenceSession(classic[name].SerializeToString()).run(None, {"images": pictures})[0]
        for name in ("fp32", precision)
    )
    assert wanted.shape == found.shape and wanted.shape[0] == 2
    assert np.abs(wanted[..., 4:] - found[..., 4:]).max() < 0.02


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_compiles_with_a_range_of_batches(rtx, classic, precision):
    """By TensorRT-RTX, for a GPU that is not here."""
    request = request_for(precision=precision, shape=(1, 3, 64, 64), max_batch=4)
    data = classic[precision].SerializeToString()
    assert compile_engine(rtx, data, request, b"", lambda phase: None).plan
