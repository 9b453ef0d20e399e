"""One battery for every backend; ONNX Runtime on the CPU is the one that every machine has."""

import dataclasses

import numpy as np
import onnxruntime
import pytest

from edge_agent.backends import BACKENDS, BackendOptions, load_backend
from edge_agent.detection.detector import contract
from edge_agent.errors import ModelError
from tests.bundles import make_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("bundle"), profile=False)


@pytest.fixture
def model(bundle):
    return bundle.path("model/fp32.onnx")


@pytest.fixture(params=sorted(BACKENDS))
def backend(request, bundle, model):
    loaded = load_backend(request.param, model, contract(bundle.manifest), BackendOptions())
    yield loaded
    loaded.close()


def test_runs_and_says_what_it_is(backend):
    """Raw output of the promised shape, active and wanted provider named."""
    raw = backend.run(np.full((1, 3, 64, 64), 0.5, np.float32))
    assert raw.shape == backend.output_shape == (1, 7, 64)
    assert raw.dtype == np.float32
    assert backend.input_shape == (1, 3, 64, 64)
    assert (backend.provider, backend.wanted_provider) == ("cpu", "cpu")


def test_results_are_kept_by_the_caller(backend):
    """A second run does not write into the first one's output."""
    first = backend.run(np.zeros((1, 3, 64, 64), np.float32))
    before = first.copy()
    backend.run(np.random.default_rng(0).random((1, 3, 64, 64), np.float32))
    assert np.array_equal(first, before)


def test_a_wrong_tensor_is_one_line(backend):
    """What the runtime refuses becomes a ModelError in one line."""
    with pytest.raises(ModelError) as caught:
        backend.run(np.zeros((1, 3, 32, 32), np.float32))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(BACKENDS))
@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x08" * 4000])
def test_a_damaged_file_is_refused_by_name(name, bundle, tmp_path, content):
    """Rubbish, an empty file and a cut-off one name the file."""
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"bad\.onnx"):
        load_backend(name, path, contract(bundle.manifest), BackendOptions())


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [("input_shape", (1, 3, 96, 96), "takes"), ("channels", 9, "gives")],
)
def test_another_graph_than_promised_is_refused(backend, bundle, model, field, value, word):
    """The manifest's promise is compared with the graph."""
    promise = dataclasses.replace(contract(bundle.manifest), **{field: value})
    with pytest.raises(ModelError, match=word):
        load_backend("onnx", model, promise, BackendOptions())


def test_a_missing_provider_is_refused_or_reported(bundle, model):
    """Never silently another provider: refuse raises, allow says what is active."""
    missing = "TensorrtExecutionProvider" not in onnxruntime.get_available_providers()
    if not missing:
        pytest.skip("this onnxruntime has the TensorRT provider")
    promise = contract(bundle.manifest)
    with pytest.raises(ModelError, match="'tensorrt' is not in this onnxruntime"):
        load_backend("onnx", model, promise, BackendOptions(providers=("tensorrt", "cpu")))
    allowed = BackendOptions(providers=("tensorrt", "cpu"), fallback="allow")
    backend = load_backend("onnx", model, promise, allowed)
    assert (backend.provider, backend.wanted_provider) == ("cpu", "tensorrt")


def test_unknown_names(bundle, model):
    """A backend or provider that does not exist is named."""
    promise = contract(bundle.manifest)
    with pytest.raises(ModelError, match="openvino"):
        load_backend("openvino", model, promise, BackendOptions())
    with pytest.raises(ModelError, match="npu"):
        load_backend("onnx", model, promise, BackendOptions(providers=("npu",)))
    with pytest.raises(ModelError, match="provider"):
        load_backend("onnx", model, promise, BackendOptions(providers=()))


def test_memory_is_a_named_reason(tmp_path):
    """An allocation that fails is put into words."""
    bundle = make_bundle(tmp_path, memory_mb=1 << 30, profile=False)
    backend = load_backend(
        "onnx", bundle.path("model/fp32.onnx"), contract(bundle.manifest), BackendOptions()
    )
    with pytest.raises(ModelError, match="needs more memory"):
        backend.run(np.zeros((1, 3, 64, 64), np.float32))
