"""Every layer that the graph writer knows gives what PyTorch gives, and so does the proof's."""

from __future__ import annotations

import numpy as np
import pytest

from builder.checkpoint import read_checkpoint
from builder.graph import serialized, write_onnx
from builder.graph.layers import LAYERS
from tests.builder.parity import difference, infer

torch = pytest.importorskip("torch", reason="needs the reference extra")
reference = pytest.importorskip("tests.builder.reference", reason="needs the reference extra")
parts = pytest.importorskip("tests.builder.parts", reason="needs the reference extra")
pytest.importorskip("onnxruntime", reason="needs the cpu extra")

TOLERANCE = 1e-5


@pytest.mark.parametrize("name", parts.CASES)
def test_each_layer(tmp_path, name):
    """In a classic detector, for two pictures at once: the graph, and the network of the proof."""
    from builder.original import load_original

    model, path = parts.detector(parts.CASES[name]()), tmp_path / "best.pt"
    with reference.original_repository(model) as theirs:
        reference.save(theirs, path)
    shape = (2, 3, parts.SIZE, parts.SIZE)
    images = np.random.default_rng(1).random(shape, dtype=np.float32)
    wanted = reference.forward(model, images)
    graph = write_onnx(read_checkpoint(path), height=parts.SIZE, width=parts.SIZE, batch="dynamic")
    found = infer(b"".join(serialized(graph)), images)
    assert difference(found, wanted, anchors=True) <= TOLERANCE
    proof = reference.forward(load_original(path), images)
    assert difference(proof, wanted, anchors=True) <= TOLERANCE / 10


def test_every_layer_is_among_them():
    """The cases, their parts and nothing else are what the graph writer says it knows."""
    found = set()
    for make in parts.CASES.values():
        found |= {type(part).__name__ for part in parts.detector(make()).modules()}
    assert set(LAYERS) <= found
    assert {name.split(",")[0].split()[0] for name in parts.CASES} <= set(LAYERS)
