"""The second output, on every runtime: given, left out, or refused; never wrong."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx
import pytest

from edge_agent.backends import BackendOptions, load_backend
from edge_agent.bundle import hash_file
from edge_agent.errors import ModelError
from tests.edge_agent.backends.conftest import (
    CHANNELS,
    CONTRACT,
    EMBEDDING,
    model_file,
    random_tensor,
)

PROMISED = dataclasses.replace(CONTRACT, embedding=EMBEDDING)
ENGINES = ("tensorrt-native", "tensorrt-rtx")


def expected(raw: np.ndarray) -> np.ndarray:
    """(b, 7) means of what the sigmoid was taken of."""
    return np.log(raw / (1 - raw)).mean(-1)


@pytest.mark.parametrize("batch", ["batch", 1])
def test_each_picture_has_its_own(runtime, tmp_path, batch):
    """ONNX Runtime's providers give it for any number of pictures; engines say that they do not."""
    backend = runtime.load(model_file(tmp_path, batch, embedding=True), PROMISED)
    assert backend.embeds is (runtime.provider not in ENGINES)
    for pictures in (1, 3, 11):
        tensor = random_tensor(pictures, pictures)
        found = backend.outputs(tensor)
        assert np.array_equal(found.raw, backend.run(tensor))
        if not backend.embeds:
            assert found.embedding is None
            continue
        assert found.embedding.shape == (pictures, CHANNELS)
        assert np.abs(found.embedding - expected(found.raw)).max() < max(runtime.exact, 1e-4)
        for index, part in enumerate(found.parts()):
            assert np.array_equal(part.raw[0], found.raw[index])
            assert np.array_equal(part.embedding[0], found.embedding[index])
    backend.close()


def test_a_graph_that_nobody_asks_for_it(runtime, tmp_path):
    """The contract without an embedding: the raw output, as ever."""
    backend = runtime.load(model_file(tmp_path, embedding=True))
    found = backend.outputs(random_tensor(2))
    assert (backend.embeds, found.embedding, found.raw.shape) == (False, None, (2, 7, 64))
    assert [part.embedding for part in found.parts()] == [None, None]
    backend.close()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"channels": 9}, r"as embedding, the manifest promises 9 float32 values"),
        ({"output": "other"}, "gives no other, which the manifest promises"),
        ({"output": "output0"}, "gives no output0, which the manifest promises"),
    ],
)
def test_another_one_than_promised_is_refused(tmp_path, changes, words):
    """Name and size are held against the graph when it is loaded."""
    wrong = dataclasses.replace(PROMISED, embedding=dataclasses.replace(EMBEDDING, **changes))
    with pytest.raises(ModelError, match=rf"small\.onnx: .*{words}.*build the bundle again"):
        load_backend(model_file(tmp_path, embedding=True), wrong, BackendOptions())


def test_one_of_another_type_is_refused(tmp_path):
    """Half precision inside is the graph's affair; outputs are float32."""
    file = model_file(tmp_path, embedding=True)
    model = onnx.load(file.path)
    model.graph.node[-1].output[0] = "wide"
    half = onnx.TensorProto.FLOAT16
    model.graph.node.append(onnx.helper.make_node("Cast", ["wide"], ["embedding"], to=half))
    model.graph.output[1].type.tensor_type.elem_type = half
    file.path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"gives tensor\(float16\) .* as embedding"):
        load_backend(dataclasses.replace(file, sha256=hash_file(file.path)), PROMISED)
