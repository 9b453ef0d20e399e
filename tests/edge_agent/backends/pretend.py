"""Runtimes that need a GPU, played by ONNX Runtime on the CPU under the names of the real ones.

`PretendTensorrt` is TensorRT 8.5 or TensorRT-RTX as far as we run engines: its plans are ONNX files
behind a magic word, and what it is told to compute is queued in a `PretendCuda` stream.
`PretendOnnxruntime` is a GPU build of ONNX Runtime whose providers start, or do not.
`host_of(provider)` puts them into an `edge_agent.backends.Host`.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime

from edge_agent.backends import Host
from edge_agent.backends.cuda import Driver
from edge_agent.engines.compile import Engine, Request
from edge_agent.engines.modules import Gpu
from edge_agent.errors import ModelError
from tests.edge_agent.backends.pretend_cuda import PretendCuda

GPU = Gpu("Pretend Orin", "8.7", "R36.4")
MAGIC = b"PRETEND PLAN"


def _session(data: bytes) -> onnxruntime.InferenceSession:
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    return onnxruntime.InferenceSession(data, settings, providers=["CPUExecutionProvider"])


def build(kind: str, model: Path, request: Request, **told: Any) -> Engine:
    """What `edge_agent.engines.child.build` does, in no time."""
    told["tell"]("parse")
    data = model.read_bytes()
    try:
        _session(data)
    except Exception as error:
        raise ModelError(f"{model}: {kind}: the parser refuses the graph: {error}") from None
    return Engine(MAGIC + request.max_batch.to_bytes(1, "little") + data, b"times")


class PretendTensorrt:
    """The module; see the file's docstring.

    Args:
        cuda: where its work goes.
        rtx: whether it is TensorRT-RTX.

    Attributes:
        enqueued: how often a context was told to run; graphs launch without asking again.
    """

    def __init__(self, cuda: PretendCuda, *, rtx: bool = False) -> None:
        self.enqueued = 0
        self.strategies: list[str] = []
        self.__version__ = "1.7.1.116" if rtx else "8.5.2.2"
        self.TensorIOMode = SimpleNamespace(INPUT="in", OUTPUT="out")
        self.DataType = SimpleNamespace(FLOAT="float32", HALF="float16")
        module = self

        class Logger:
            """ILogger."""

            ERROR, INTERNAL_ERROR = "error", "internal"

        class Context:
            """IExecutionContext."""

            def __init__(self, engine: ICudaEngine) -> None:
                self.engine = engine
                self.shape: tuple[int, ...] = ()
                self.addresses: dict[str, int] = {}
                self.reshaped = 0

            def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
                wanted = self.engine.get_tensor_shape(name)
                most = self.engine.max_batch if wanted[0] == -1 else 1
                fits = shape[1:] == wanted[1:] and 1 <= shape[0] <= most
                self.shape = shape if fits else ()
                self.reshaped += 1
                return fits

            def set_tensor_address(self, name: str, memory: int) -> bool:
                self.addresses[name] = memory
                return name in ("images", "output0")

            def execute_async_v3(self, stream_handle: int) -> bool:
                if not self.shape:
                    self.engine.log.log(Logger.ERROR, "no shape was\nset")
                    return False
                module.enqueued += 1
                shape, reshaped = self.shape, self.reshaped

                def work() -> None:
                    assert reshaped == self.reshaped, "the graph of another shape"
                    given = _at(self.addresses["images"], shape)
                    made = self.engine.session.run(None, {"images": given})[0]
                    _at(self.addresses["output0"], made.shape)[:] = made

                return cuda.queue(stream_handle, work)

        class ICudaEngine:
            """An ONNX session."""

            def __init__(self, data: bytes, log: Any) -> None:
                self.max_batch = data[0]
                self.log = log
                self.session = _session(data[1:])

            @property
            def num_io_tensors(self) -> int:
                return 2

            def get_tensor_name(self, index: int) -> str:
                return ("images", "output0")[index]

            def get_tensor_mode(self, name: str) -> str:
                return "in" if name == "images" else "out"

            def get_tensor_dtype(self, name: str) -> str:
                return "float32" if self._node(name).type == "tensor(float)" else "float16"

            def get_tensor_shape(self, name: str) -> tuple[int, ...]:
                return tuple(s if isinstance(s, int) else -1 for s in self._node(name).shape)

            def _node(self, name: str) -> Any:
                nodes = (*self.session.get_inputs(), *self.session.get_outputs())
                return next(node for node in nodes if node.name == name)

            def create_execution_context(self, config: Any = None) -> Context:
                if config is not None:
                    module.strategies.append(config.cuda_graph_strategy)
                return Context(self)

        class Runtime:
            """IRuntime."""

            def __init__(self, log: Any) -> None:
                self.log = log

            def deserialize_cuda_engine(self, data: bytes) -> ICudaEngine | None:
                if not data.startswith(MAGIC):
                    self.log.log(Logger.ERROR, "magic tag does not match")
                    return None
                return ICudaEngine(data[len(MAGIC) :], self.log)

        if rtx:
            self.CudaGraphStrategy = SimpleNamespace(WHOLE_GRAPH_CAPTURE="whole")
            self.IRuntimeConfig = SimpleNamespace(cuda_graph_strategy=True)
            ICudaEngine.create_runtime_config = lambda engine: SimpleNamespace()  # type: ignore[attr-defined]
        self.ILogger, self.Runtime = Logger, Runtime
        self.ICudaEngine, self.IExecutionContext = ICudaEngine, Context


def _at(address: int, shape: tuple[int, ...]) -> np.ndarray:
    """The float32 array at an address of the device."""
    memory = (ctypes.c_float * int(np.prod(shape))).from_address(address)
    return np.ctypeslib.as_array(memory).reshape(shape)


class PretendOnnxruntime:
    """A GPU build of ONNX Runtime.

    Args:
        starting: providers that start when a session asks for them; the others are left out in
            silence, as the real one does.

    Attributes:
        asked: what the last session was given as ``providers``.
    """

    def __init__(self, *starting: str) -> None:
        self.__version__ = onnxruntime.__version__
        self.SessionOptions = onnxruntime.SessionOptions
        self.GraphOptimizationLevel = onnxruntime.GraphOptimizationLevel
        self.asked: list[Any] = []
        self._starting = (*starting, "CPUExecutionProvider")

    def get_available_providers(self) -> list[str]:
        """All three."""
        return ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]

    def InferenceSession(
        self, path: str, settings: Any, *, providers: list[Any], enable_fallback: int = 1
    ) -> Any:
        """A session on the CPU that says otherwise."""
        real = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
        self.asked = providers
        names = [one if isinstance(one, str) else one[0] for one in providers]
        active = [name for name in names if name in self._starting]
        return SimpleNamespace(
            get_providers=lambda: active,
            get_inputs=real.get_inputs,
            get_outputs=real.get_outputs,
            run=real.run,
        )


def host_of(provider: str, cuda: PretendCuda | None = None) -> Host:
    """A machine on which this provider works."""
    cuda = cuda or PretendCuda()
    if provider in ("tensorrt", "cuda"):
        starting = ("TensorrtExecutionProvider", "CUDAExecutionProvider")
        ort = PretendOnnxruntime(*starting[provider == "cuda" :])
        return Host(onnxruntime=lambda: ort, gpu=lambda: GPU)
    trt = PretendTensorrt(cuda, rtx=provider == "tensorrt-rtx")
    return Host(module=lambda kind: trt, gpu=lambda: GPU, driver=lambda: Driver(cuda), build=build)
