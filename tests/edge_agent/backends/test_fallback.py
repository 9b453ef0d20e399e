"""Wanted and active provider: never another one in silence."""

from dataclasses import replace

import onnxruntime
import pytest

from edge_agent.backends import PROVIDERS, BackendOptions, Host, load_backend
from edge_agent.config.models import PROVIDERS as CONFIGURED
from edge_agent.engines import modules
from edge_agent.errors import ModelError
from tests.edge_agent.backends.conftest import CONTRACT, model_file, random_tensor
from tests.edge_agent.backends.pretend import GPU, PretendOnnxruntime, host_of
from tests.edge_agent.backends.pretend_cuda import PretendCuda

BARE = Host(gpu=lambda: None)  # this onnxruntime, no GPU


def test_the_configuration_knows_every_provider():
    """agent.toml is checked without importing a runtime."""
    assert tuple(PROVIDERS) == CONFIGURED


def test_a_provider_that_this_onnxruntime_lacks(tmp_path):
    """Refused with what it has and what to do, or reported with the same reason."""
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has the CUDA provider")
    file = model_file(tmp_path)
    with pytest.raises(ModelError, match=r"small\.onnx: cuda: .*not in this onnxruntime") as caught:
        load_backend(file, CONTRACT, BackendOptions(("cuda", "cpu")), BARE)
    assert 'or set fallback = "allow"' in str(caught.value)
    allowed = BackendOptions(("cuda", "cpu"), fallback="allow")
    backend = load_backend(file, CONTRACT, allowed, BARE)
    assert (backend.provider, backend.wanted_provider) == ("cpu", "cuda")
    assert backend.fallback_reason.startswith("cuda: CUDAExecutionProvider is not in this")
    assert backend.run(random_tensor(2)).shape == (2, 7, 64)


def test_refuse_never_looks_at_the_second(tmp_path):
    """Although it would run there."""
    with pytest.raises(ModelError, match="no NVIDIA GPU"):
        load_backend(
            model_file(tmp_path),
            CONTRACT,
            BackendOptions(("tensorrt-native", "cpu")),
            replace(host_of("tensorrt-native"), gpu=lambda: None),
        )


def test_the_order_is_gone_down_with_every_reason(tmp_path):
    """The first that works is active, and says why it is not the wanted one."""
    order = BackendOptions(("tensorrt-native", "tensorrt-rtx", "tensorrt", "cuda"), "allow")
    ort = PretendOnnxruntime("CUDAExecutionProvider")

    def module(kind):
        raise ModelError(f"{kind} is not installed")

    host = Host(onnxruntime=lambda: ort, module=module, gpu=lambda: GPU)
    backend = load_backend(model_file(tmp_path), CONTRACT, order, host)
    assert (backend.provider, backend.wanted_provider) == ("cuda", "tensorrt-native")
    parts = backend.fallback_reason.split("; ")
    assert [part.split(":")[0] for part in parts] == ["tensorrt-native", "tensorrt-rtx", "tensorrt"]
    assert (
        "TensorrtExecutionProvider did not start: CUDAExecutionProvider did, "
        in backend.fallback_reason
    )


def test_the_cpu_is_always_there_when_another_will_do(tmp_path):
    """It need not be named."""
    host = replace(BARE, onnxruntime=PretendOnnxruntime)
    backend = load_backend(model_file(tmp_path), CONTRACT, BackendOptions(("cuda",), "allow"), host)
    assert (backend.provider, backend.wanted_provider) == ("cpu", "cuda")
    assert "no NVIDIA GPU" in backend.fallback_reason


def test_a_gpu_that_is_too_small_for_this_model(tmp_path):
    """Its memory is the reason; everything that was taken is given back."""
    cuda = PretendCuda(memory=1000)
    host = host_of("tensorrt-native", cuda)
    backend = load_backend(
        model_file(tmp_path), CONTRACT, BackendOptions(("tensorrt-native",), "allow"), host
    )
    assert backend.provider == "cpu"
    assert "needs more memory than there is on the GPU" in backend.fallback_reason
    assert (cuda.faults, cuda.held) == ([], 0)


def test_when_nothing_runs_it_all_reasons_are_told(tmp_path):
    """And the file's name once; no advice to fall back, for that was allowed."""
    file = model_file(tmp_path)
    file.path.write_bytes(b"rubbish")
    with pytest.raises(ModelError, match=r"small\.onnx: cuda: .*; cpu: cannot be loaded") as caught:
        load_backend(file, CONTRACT, BackendOptions(("cuda", "cpu"), "allow"), BARE)
    assert str(caught.value).count("small.onnx:") == 1
    assert "fallback" not in str(caught.value)


def test_a_model_that_is_bad_is_not_blamed_on_the_provider(tmp_path):
    """No advice to name another one."""
    file = model_file(tmp_path)
    file.path.write_bytes(b"rubbish")
    with pytest.raises(ModelError) as caught:
        load_backend(file, CONTRACT, BackendOptions(("cuda",)), host_of("cuda"))
    assert "fallback" not in str(caught.value)


def test_unknown_names(tmp_path):
    """A provider that does not exist is named, with those that do."""
    file = model_file(tmp_path)
    with pytest.raises(ModelError, match=r'"npu" is not one of tensorrt-native, .*cpu'):
        load_backend(file, CONTRACT, BackendOptions(("npu",)))
    with pytest.raises(ModelError, match="no provider is named; name some of tensorrt-native"):
        load_backend(file, CONTRACT, BackendOptions(()))


def test_tensorrt_rtx_for_real_without_a_gpu(tmp_path):
    """The module that is installed here, on this machine: refused with its reason."""
    pytest.importorskip("tensorrt_rtx", reason="the trt-rtx extra is not installed")
    if modules.this_gpu() is not None:
        pytest.skip("this machine has a GPU")
    with pytest.raises(ModelError, match="tensorrt-rtx: no NVIDIA GPU with a driver"):
        load_backend(model_file(tmp_path), CONTRACT, BackendOptions(("tensorrt-rtx",)))
