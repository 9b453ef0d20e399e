"""Which layer it is, when a graph is not the original."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from builder.blame import first_difference
from builder.checkpoint import read_checkpoint
from builder.graph import write_onnx
from builder.prove import Parity, check, torch_available
from edge_agent.errors import ModelError

TENSOR = np.random.default_rng(1).random((1, 3, 64, 64), dtype=np.float32)


@pytest.mark.skipif(not torch_available(), reason="needs the reference extra")
def test_the_first_layer_that_differs_is_named(squares, tmp_path):
    """One weight of the second layer is another: that layer is named, not the first."""
    model, path = write_onnx(read_checkpoint(squares), height=64, width=64), tmp_path / "m.onnx"
    weight = next(one for one in model.graph.initializer if one.name == "model.1.conv.weight")
    values = numpy_helper.to_array(weight).copy()
    values[0] *= 1.5
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    path.write_bytes(model.SerializeToString())
    said = first_difference(path, squares, TENSOR)
    assert said.startswith("; the first layer that differs is model.1 (Conv), by ")


def test_nothing_is_said_where_nothing_is_known(squares, tmp_path, monkeypatch):
    """Without PyTorch, or when it fails, the refusal stands without the layer."""
    path = tmp_path / "m.onnx"
    onnx.save(write_onnx(read_checkpoint(squares), height=64, width=64), path)
    monkeypatch.setattr("sys.executable", "/bin/false")
    assert first_difference(path, squares, TENSOR) == ""


def test_it_is_asked_only_when_the_proof_fails():
    """Running both sides again costs seconds."""
    check(Parity(1, 0.0, 0.0), "m", lambda: pytest.fail("asked for nothing"))
    with pytest.raises(ModelError, match=r"allowed\); the layer; this is a fault"):
        check(Parity(1, 0.1, 0.0), "m", lambda: "; the layer")
