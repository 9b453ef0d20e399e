"""Graphs for a free and for a fixed number of pictures, and every runtime that runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_agent.backends import (
    PROVIDERS,
    Backend,
    BackendOptions,
    Contract,
    Host,
    ModelFile,
    load_backend,
)
from edge_agent.backends.tensorrt import KINDS
from edge_agent.bundle import EmbeddingSpec, hash_file
from edge_agent.engines import modules
from edge_agent.errors import ModelError
from tests.edge_agent.backends.pretend import host_of
from tests.edge_agent.backends.pretend_cuda import PretendCuda

SIDE, CELLS, CHANNELS = 64, 64, 7
CONTRACT = Contract((1, 3, SIDE, SIDE), CHANNELS, 1, max_batch=4)
EMBEDDING = EmbeddingSpec("embedding", CHANNELS, "embedding.json")


def write_graph(path: Path, batch: int | str, *, embedding: bool = False) -> Path:
    """sigmoid(conv(picture)), (b, 7, 64): what a head gives, without its meaning.

    With ``embedding`` also the mean of the convolution over all cells, (b, 7).
    """
    rng = np.random.default_rng(5)
    constants = {
        "w": rng.normal(0, 0.1, (CHANNELS, 3, 8, 8)).astype(np.float32),
        "flat": np.asarray([0, CHANNELS, CELLS], np.int64),
    }
    nodes = [
        helper.make_node("Conv", ["images", "w"], ["cells"], strides=[8, 8]),
        helper.make_node("Reshape", ["cells", "flat"], ["rows"]),
        helper.make_node("Sigmoid", ["rows"], ["output0"]),
    ]
    outputs = [
        helper.make_tensor_value_info("output0", TensorProto.FLOAT, [batch, CHANNELS, CELLS])
    ]
    if embedding:
        nodes += [
            helper.make_node("GlobalAveragePool", ["cells"], ["means"]),
            helper.make_node("Flatten", ["means"], ["embedding"]),
        ]
        outputs.append(
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [batch, CHANNELS])
        )
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, SIDE, SIDE])],
        outputs,
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def model_file(folder: Path, batch: int | str = "batch", *, embedding: bool = False) -> ModelFile:
    """The graph in a folder, beside which engines are kept."""
    path = write_graph(folder / "small.onnx", batch, embedding=embedding)
    return ModelFile(path, hash_file(path), "fp32", folder)


def random_tensor(pictures: int, seed: int = 0) -> np.ndarray:
    """(b, 3, 64, 64) float32 in 0..1."""
    return np.random.default_rng(seed).random((pictures, 3, SIDE, SIDE), np.float32)


@dataclass(frozen=True)
class Runtime:
    """One runtime of the battery.

    Attributes:
        provider: its name in agent.toml.
        host: makes the machine on which it runs.
        cuda: the pretended driver behind it, if any.
        exact: largest difference to the CPU provider's result.
    """

    provider: str
    host: Callable[[], Host]
    cuda: PretendCuda | None = None
    exact: float = 0.0

    def load(self, file: ModelFile, contract: Contract = CONTRACT) -> Backend:
        """The file on this runtime, or an error."""
        return load_backend(file, contract, BackendOptions((self.provider,)), self.host())


def _pretended(provider: str) -> Runtime:
    cuda = PretendCuda()
    host = host_of(provider, cuda)
    return Runtime(provider, lambda: host, cuda if "-" in provider else None)


GPU_PROVIDERS = tuple(name for name in PROVIDERS if name != "cpu")
_OF_ONNXRUNTIME = {"tensorrt": "TensorrtExecutionProvider", "cuda": "CUDAExecutionProvider"}


def _lacks(provider: str) -> str:
    """What this machine lacks to run a GPU's provider for real; empty where it lacks nothing."""
    if modules.this_gpu() is None:
        return "needs an NVIDIA GPU with a driver"
    try:
        title = _OF_ONNXRUNTIME.get(provider)
        if title is None:
            modules.load(KINDS[provider])
        elif title not in Host().onnxruntime().get_available_providers():
            return f"needs an onnxruntime with the {title}"
    except ModelError as error:
        return str(error)
    return ""


LACKS = {name: _lacks(name) for name in GPU_PROVIDERS}


def _cases() -> Iterator[Any]:
    yield pytest.param(lambda: Runtime("cpu", Host), id="cpu")
    for name in GPU_PROVIDERS:
        yield pytest.param(partial(_pretended, name), id=f"{name}-pretended")
        if not LACKS[name]:  # where it lacks something, `real` skips once, with the reason
            yield pytest.param(partial(_real, name), id=f"{name}-real", marks=pytest.mark.gpu)


def _real(provider: str) -> Runtime:
    return Runtime(provider, Host, exact=2e-3)


@pytest.fixture(params=[*_cases()])
def runtime(request) -> Runtime:
    """The CPU's runtime, the GPU's pretended, and those of them for real that this machine has."""
    return request.param()


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.gpu) for name in GPU_PROVIDERS])
def real(request) -> Runtime:
    """Each of the GPU's runtimes for real, or a skip that says what is missing."""
    if LACKS[request.param]:
        pytest.skip(f"{request.param} for real: {LACKS[request.param]}")
    return _real(request.param)


@pytest.fixture
def reference(tmp_path):
    """What the CPU provider gives for a tensor, one picture at a time."""
    (tmp_path / "reference").mkdir()
    file = replace(model_file(tmp_path / "reference"), bundle=None)
    backend = load_backend(file, CONTRACT)

    def run(tensor: np.ndarray) -> np.ndarray:
        return np.concatenate([backend.run(tensor[i : i + 1]) for i in range(len(tensor))])

    yield run
    backend.close()
