"""TensorRT without ONNX Runtime: where engines come from, graphs, what is refused."""

from __future__ import annotations

import ast
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from builder.engines import EngineOptions, compile_variants
from builder.progress import Silent
from edge_agent.backends import BackendOptions, Host, lane, load_backend, tensorrt
from edge_agent.backends.cuda import Driver
from edge_agent.backends.tensorrt import TensorrtBackend
from edge_agent.detection.detector import Detector
from edge_agent.engines import modules
from edge_agent.engines.compile import WORKSPACE_MB, Request, compile_engine
from edge_agent.engines.key import engine_key
from edge_agent.engines.modules import Gpu
from edge_agent.engines.names import ALWAYS, RUNNING, SOMETIMES, find, missing
from edge_agent.engines.shelf import Shelf
from edge_agent.errors import ModelError
from tests.bundles import make_bundle
from tests.edge_agent.backends.conftest import CONTRACT, LACKS, model_file, random_tensor
from tests.edge_agent.backends.pretend import GPU, PretendTensorrt, build, host_of
from tests.edge_agent.backends.pretend_cuda import PretendCuda

NATIVE, RTX = BackendOptions(("tensorrt-native",)), BackendOptions(("tensorrt-rtx",))


class Machine:
    """A host whose builds are counted."""

    def __init__(self, provider: str = "tensorrt-native", **cuda):
        self.cuda = PretendCuda(**cuda)
        self.built: list[tuple] = []
        self.provider = provider
        self.host = replace(host_of(provider, self.cuda), build=self.build)
        self.trt: PretendTensorrt = self.host.module("")

    def build(self, kind, model, request, **told):
        self.built.append((kind, request, told["timing_cache"]))
        return build(kind, model, request, **told)

    def load(self, file, contract=CONTRACT):
        return load_backend(file, contract, BackendOptions((self.provider,)), self.host)


def test_an_engine_is_built_once(tmp_path):
    """By a request that `edge-builder compile` makes too; the next start finds it."""
    machine, file = Machine(), model_file(tmp_path)
    machine.load(file).close()
    request = Request("fp32", "", CONTRACT.input_shape, 4, WORKSPACE_MB)
    assert machine.built == [("tensorrt", request, b"")]
    key = engine_key("tensorrt", "8.5.2.2", GPU, file.sha256, request)
    assert Shelf(tmp_path).find(key) is not None
    machine.load(file).close()
    assert len(machine.built) == 1


@pytest.mark.parametrize(
    "change",
    [{"capability": "8.6"}, {"name": "Other"}, {"driver": "R36.5"}],
    ids=["gpu", "name", "driver"],
)
def test_another_gpu_or_driver_needs_another_engine(tmp_path, change):
    """An upgrade of JetPack builds again, with what was measured before."""
    machine, file = Machine(), model_file(tmp_path)
    machine.load(file).close()
    machine.host = replace(machine.host, gpu=lambda: replace(GPU, **change))
    machine.load(file).close()
    assert [cache for _, _, cache in machine.built] == [b"", b"times"]


def test_an_engine_made_ahead_of_time_is_taken(tmp_path):
    """For the capability, whatever the GPU's name; made by TensorRT-RTX without the GPU."""
    machine, file = Machine("tensorrt-rtx"), model_file(tmp_path)
    request = Request("fp32", GPU.capability, CONTRACT.input_shape, 4, WORKSPACE_MB)
    key = engine_key("trt-rtx", machine.trt.__version__, None, file.sha256, request)
    engine = build("trt-rtx", file.path, request, tell=lambda phase: None)
    Shelf(tmp_path).put(key, "fp32", engine.plan)
    machine.load(file).close()
    assert machine.built == []


def test_an_engine_that_cannot_be_loaded_is_built_again(tmp_path, caplog):
    """Whole by its hash, and yet not for this TensorRT: the graph is the source."""
    machine, file = Machine(), model_file(tmp_path)
    request = Request("fp32", "", CONTRACT.input_shape, 4, WORKSPACE_MB)
    key = engine_key("tensorrt", "8.5.2.2", GPU, file.sha256, request)
    Shelf(tmp_path).put(key, "fp32", b"of another make")
    with caplog.at_level(logging.WARNING):
        machine.load(file).close()
    assert len(machine.built) == 1
    assert "magic tag does not match" in caplog.text
    assert (machine.cuda.faults, machine.cuda.held) == ([], 0)


def test_a_bundle_that_cannot_be_written(tmp_path, caplog):
    """The engine serves this start, and the log says that the next one builds again."""
    machine, file = Machine(), model_file(tmp_path)
    (tmp_path / "engines").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        backend = machine.load(file)
    assert backend.run(random_tensor(1)).shape == (1, 7, 64)
    assert "built again at the next start" in caplog.text
    backend.close()


def test_a_disk_that_is_full_while_building(tmp_path):
    """A sentence, not an OSError."""
    machine = Machine()

    def full(*given, **told):
        raise OSError(28, "No space left on device")

    machine.host = replace(machine.host, build=full)
    with pytest.raises(ModelError, match=r"small\.onnx: .*no engine can be built: .*No space left"):
        machine.load(model_file(tmp_path))


def test_the_same_number_of_pictures_becomes_a_graph(tmp_path):
    """First run plain, second recorded, then launched; another number begins anew."""
    machine = Machine()
    backend = machine.load(model_file(tmp_path))
    for _ in range(5):
        backend.run(random_tensor(1))
    assert machine.trt.enqueued == 2
    assert machine.cuda.calls.count("cuGraphLaunch") == 4
    for pictures in (3, 1, 3, 1):
        backend.run(random_tensor(pictures))
    assert machine.trt.enqueued == 6
    backend.close()
    assert (machine.cuda.faults, machine.cuda.held) == ([], 0)


def test_what_cannot_be_recorded_runs_without(tmp_path, caplog):
    """Some layers cannot be captured; tried once."""
    machine = Machine(capture=False)
    backend = machine.load(model_file(tmp_path))
    with caplog.at_level(logging.INFO):
        results = [backend.run(random_tensor(1)) for _ in range(4)]
    assert all(np.array_equal(results[0], one) for one in results)
    assert machine.cuda.calls.count("cuStreamBeginCapture_v2") == 1
    assert caplog.text.count("runs without a CUDA graph") == 1
    backend.close()
    assert (machine.cuda.faults, machine.cuda.held) == ([], 0)


def test_tensorrt_rtx_records_itself(tmp_path):
    """Ours would be recorded around kernels that it still compiles."""
    machine = Machine("tensorrt-rtx")
    backend = machine.load(model_file(tmp_path))
    for _ in range(4):
        backend.run(random_tensor(1))
    assert machine.trt.strategies == ["whole"]
    assert "cuStreamBeginCapture_v2" not in machine.cuda.calls
    backend.close()


def test_a_variant_for_the_cpu_is_refused(tmp_path):
    """int8-cpu is quantized in a way that TensorRT does not take."""
    file = replace(model_file(tmp_path), precision="int8-cpu")
    with pytest.raises(ModelError, match="its variant is for the CPU provider"):
        Machine().load(file)


def test_an_engine_with_half_precision_ends_is_refused(tmp_path):
    """A bundle's graphs take and give float32 in every precision."""
    file = model_file(tmp_path)
    model = onnx.load(file.path)
    model.graph.node[-1].output[0] = "wide"
    model.graph.node.append(onnx.helper.make_node("Cast", ["wide"], ["output0"], to=10))
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    onnx.save(model, file.path)
    machine = Machine()
    with pytest.raises(ModelError, match=r"small\.onnx: .*output0 is not float32"):
        machine.load(file)
    assert machine.cuda.held == 0


def test_a_module_that_lacks_a_name(tmp_path):
    """Named with its version."""
    machine = Machine()
    del machine.trt.IExecutionContext.execute_async_v3
    with pytest.raises(ModelError, match=r"tensorrt 8\.5\.2\.2 lacks IExecutionContext\.execute_"):
        machine.load(model_file(tmp_path))


def test_the_pretended_modules_have_the_names_of_the_real_ones():
    """So that what they let pass, the real ones do."""
    old, rtx = (PretendTensorrt(PretendCuda(), rtx=rtx) for rtx in (False, True))
    assert missing(old, RUNNING) == missing(rtx, RUNNING) == []
    running = [name for name in SOMETIMES if "Graph" in name or "untime" in name]
    for name in running:
        assert find(old, name) is None and find(rtx, name) is not None, name


def test_the_names_are_those_of_the_installed_rtx():
    """As for building: the list is held against what is installed."""
    rtx = pytest.importorskip("tensorrt_rtx", reason="the trt-rtx extra is not installed")
    assert missing(rtx, RUNNING) == []


def test_every_attribute_of_tensorrt_that_is_touched_is_listed():
    """A new call into TensorRT has to be looked up in its releases first."""
    listed = {part for name in (*ALWAYS, *RUNNING, *SOMETIMES) for part in name.split(".")}
    receivers = {"trt", "engine", "context", "config", "strategy", "_engine", "_context"}
    receivers |= {"_runtime", "TensorIOMode", "DataType"}
    touched = set()
    for module in (tensorrt, lane):
        for node in ast.walk(ast.parse(Path(module.__file__).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                on = node.value
                name = on.id if isinstance(on, ast.Name) else getattr(on, "attr", "")
                touched |= {node.attr} if name in receivers else set()
    assert {"execute_async_v3", "deserialize_cuda_engine", "INPUT"} <= touched
    assert touched - listed == {"plan", "timing_cache"}  # of our own Engine


def test_the_installed_rtx_gives_its_reason_without_a_gpu(tmp_path):
    """A real plan, the real runtime: refused by the CUDA runtime that finds no driver."""
    rtx = pytest.importorskip("tensorrt_rtx", reason="the trt-rtx extra is not installed")
    if modules.this_gpu() is not None:
        pytest.skip("this machine has a GPU")
    data = model_file(tmp_path).path.read_bytes()
    request = Request("fp32", "8.6", CONTRACT.input_shape, 4, 64)
    plan = compile_engine(rtx, data, request, b"", lambda phase: None).plan
    cuda = PretendCuda()
    host = host_of("tensorrt-rtx", cuda)
    with pytest.raises(ModelError, match=r"the engine cannot be loaded: .*cudaError 35"):
        TensorrtBackend("tensorrt-rtx", rtx, plan, CONTRACT, host)
    assert cuda.held == 0


def test_what_the_builder_compiled_is_what_a_device_looks_for(tmp_path, caplog):
    """`edge-builder compile` for 8.6, found by a detector on a GPU of that capability."""
    rtx = pytest.importorskip("tensorrt_rtx", reason="the trt-rtx extra is not installed")
    if modules.this_gpu() is not None:
        pytest.skip("this machine has a GPU")
    bundle = make_bundle(tmp_path, profile=False)
    (made,) = compile_variants(bundle, EngineOptions("trt-rtx", ("8.6",)), Silent()).made
    host = Host(
        module=lambda kind: rtx,
        gpu=lambda: Gpu("some RTX", "8.6", "CUDA 13.0"),
        driver=lambda: Driver(PretendCuda()),
        build=build,
    )
    with caplog.at_level(logging.WARNING), pytest.raises(ModelError):
        Detector.load(bundle, providers=("tensorrt-rtx",), host=host)
    assert f"{made.path}: the engine cannot be loaded" in caplog.text


@pytest.mark.gpu
@pytest.mark.parametrize("options", [NATIVE, RTX], ids=["native", "rtx"])
def test_an_engine_is_found_again_on_a_gpu(options, tmp_path):
    """Built in a child, kept beside the bundle, loaded without building."""
    if lacks := LACKS[options.providers[0]]:
        pytest.skip(f"{options.providers[0]} for real: {lacks}")
    file = model_file(tmp_path)
    backend = load_backend(file, CONTRACT, options)
    first = backend.run(random_tensor(2))
    backend.close()
    no_build = replace(Host(), build=lambda *given, **told: pytest.fail("built again"))
    backend = load_backend(file, CONTRACT, options, no_build)
    assert np.allclose(backend.run(random_tensor(2)), first, atol=1e-3)
    backend.close()
