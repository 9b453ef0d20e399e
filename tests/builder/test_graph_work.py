"""What a graph asks for is known before it runs: evil ones are refused, real ones are not."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import onnx
import pytest

from builder.checkpoint import read_checkpoint
from builder.errors import CheckpointError
from builder.graph import write_onnx
from builder.graph.ready import read_ready
from builder.graph.ready_check import patience_s, run_once
from builder.graph.work import MAX_WORK, MAX_WORK_PER_PIXEL, measure
from tests.builder.evil import EVIL, graph, node

CLASSIC = Path(__file__).parent.parent / "data" / "classic_yolov5" / "classic_n.pt"
YOLOV5X_1280 = 595_310_387_200
"""What `measure` gives for it."""


@pytest.mark.parametrize("name", EVIL)
def test_evil_graphs_are_refused_at_once(tmp_path, name):
    """With node, number and limit; no session is made, so it takes neither time nor memory."""
    model, message = EVIL[name]
    path = tmp_path / "evil.onnx"
    path.write_bytes(model.SerializeToString())
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.process_time()
    with pytest.raises(CheckpointError, match=message) as caught:
        read_ready(path)
    assert time.process_time() - began < 2
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime == children.ru_utime
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("head", ["anchor", "u"])
def test_a_real_graph_is_measured_as_it_is(squares, head):
    """The output's sides are those that running it gives; the work is far below the limit."""
    checkpoint = CLASSIC if head == "anchor" else squares
    model = write_onnx(read_checkpoint(checkpoint), height=64, width=96)
    demand = measure(Path("x.onnx"), model)
    assert demand.output == run_once(Path("x.onnx"), model, timeout_s=60)
    assert 64 * 96 * 10 < demand.work < 64 * 96 * MAX_WORK_PER_PIXEL / 2


def test_work_is_counted_exactly():
    """A 3 x 3 convolution from 3 to 3 channels: 27 products a number, and the pass over it."""
    conv = graph(
        [node("Conv", ["images", "W"], ["output0"], pads=[1] * 4)], W=[[[[1.0] * 3] * 3] * 3] * 3
    )
    assert measure(Path("x"), conv).work == 3 * 64 * 64 * (27 + 64)
    free = onnx.ModelProto()
    free.CopyFrom(conv)
    free.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    assert measure(Path("x"), free).work == measure(Path("x"), conv).work


def test_an_output_that_nothing_makes():
    """Refused in words."""
    with pytest.raises(CheckpointError, match="no node makes its output 'output0'"):
        measure(Path("x"), graph([node("Neg", ["images"], ["other"])]))


def test_a_heavy_model_has_time():
    """A yolov5x at 1280 pixels took 11 s and has ten times that; small ones have little."""
    assert patience_s(YOLOV5X_1280) > 110 and YOLOV5X_1280 < MAX_WORK / 3
    assert patience_s(7_428_659_200) < 15  # yolov5n at 640
