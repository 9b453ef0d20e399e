"""TensorRT 8.5 to 11 and TensorRT-RTX without ONNX Runtime: an engine, pinned buffers, one stream.

Both modules have the same interface (`edge_agent.engines.names`). The engine comes from beside the
bundle, where `edge-builder compile` or an earlier start left it, or is built now in a child process
while the old model serves.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NamedTuple

from edge_agent.backends.base import (
    BackendOptions,
    Contract,
    Host,
    ModelFile,
    Outputs,
    Tensor,
    Unavailable,
    in_parts,
)
from edge_agent.backends.lane import Lane
from edge_agent.engines.compile import WORKSPACE_MB, Request
from edge_agent.engines.key import engine_key
from edge_agent.engines.log import error_log
from edge_agent.engines.modules import Gpu
from edge_agent.engines.names import RUNNING, find, missing
from edge_agent.engines.shelf import Shelf
from edge_agent.errors import ModelError, StorageError

KINDS = {"tensorrt-native": "tensorrt", "tensorrt-rtx": "trt-rtx"}
log = logging.getLogger(__name__)


class TensorrtBackend:
    """One engine. It gives no embedding: engines are compiled for the raw output alone.

    Args:
        name: of the provider.
        trt: its module.
        plan: the serialized engine.
        contract: what the graph must be.
        host: where the driver comes from.

    Raises:
        ModelError: it cannot be loaded here, or is not what the contract says.
    """

    def __init__(self, name: str, trt: Any, plan: bytes, contract: Contract, host: Host) -> None:
        self.provider = self.wanted_provider = name
        self.fallback_reason = ""
        self.embeds = False
        self._log = error_log(trt)
        self._driver = host.driver()
        self._lane: Lane | None = None
        self._runtime = self._engine = None
        try:
            self._runtime = trt.Runtime(self._log)
            self._engine = self._runtime.deserialize_cuda_engine(plan)
            if self._engine is None:
                raise ModelError(f"the engine cannot be loaded: {self._log.reason()}")
            given, made = _tensors(trt, self._engine, contract)
            self.input_shape = contract.input_shape
            self.max_batch = 1 if given.shape[0] == 1 else contract.max_batch
            self.output_shape = (1, *made.shape[1:])
            self._lane = self._open(trt, given.name, made.name)
        except Exception as error:
            self.close()
            if isinstance(error, ModelError):
                raise
            raise ModelError(f"TensorRT fails ({error}): {self._log.reason()}") from None

    def _open(self, trt: Any, given: str, made: str) -> Lane:
        context = _context(trt, self._engine)
        if context is None:
            raise ModelError(f"the engine cannot run: {self._log.reason()}")
        shapes = [(self.max_batch, *shape[1:]) for shape in (self.input_shape, self.output_shape)]
        # TensorRT-RTX records its own graphs, around the kernels that it compiles as it goes.
        recording = find(trt, "CudaGraphStrategy") is None
        return Lane(
            self._driver, context, (given, made), (shapes[0], shapes[1]), self._log, recording
        )

    def outputs(self, tensor: Tensor) -> Outputs:
        """The raw output for (b, 3, h, w) float32; raises `ModelError`."""
        lane = self._lane
        assert lane is not None
        return in_parts(
            tensor, self.input_shape, self.max_batch, lambda part: Outputs(lane.run(part))
        )

    def run(self, tensor: Tensor) -> Tensor:
        """The raw output for (b, 3, h, w) float32; raises `ModelError`."""
        return self.outputs(tensor).raw

    def close(self) -> None:
        """Give back the GPU's memory, the youngest first."""
        if self._driver is None:
            return
        driver, self._driver = self._driver, None
        try:
            driver.enter()
            if self._lane is not None:
                self._lane.close()
        finally:
            self._lane = self._engine = self._runtime = None
            driver.close()


def load(
    name: str, file: ModelFile, contract: Contract, options: BackendOptions, host: Host
) -> TensorrtBackend:
    """The factory of this backend (see `edge_agent.backends.load_backend`)."""
    if file.precision == "int8-cpu":
        raise ModelError(f"{file.path}: its variant is for the CPU provider; choose another one")
    trt = _module(name, host)
    gpu = host.gpu()
    if gpu is None:
        raise Unavailable("no NVIDIA GPU with a driver is found on this machine")
    kept = _kept(KINDS[name], trt, file, contract, gpu)
    if kept is not None:
        try:
            return TensorrtBackend(name, trt, kept.read_bytes(), contract, host)
        except (ModelError, OSError) as error:  # whatever it is, the graph is the source
            log.warning("%s: %s; it is built again", kept, error)
    plan = _build(KINDS[name], trt, file, contract, gpu, host)
    try:
        return TensorrtBackend(name, trt, plan, contract, host)
    except ModelError as error:
        raise ModelError(f"{file.path}: {error}") from None


def _module(name: str, host: Host) -> Any:
    try:
        trt = host.module(KINDS[name])
    except ModelError as error:
        raise Unavailable(str(error)) from None
    if absent := missing(trt, RUNNING):
        raise Unavailable(f"{KINDS[name]} {trt.__version__} lacks {', '.join(absent[:3])}")
    return trt


def _kept(kind: str, trt: Any, file: ModelFile, contract: Contract, gpu: Gpu) -> Path | None:
    """The engine for this very GPU and driver, or one made ahead of time for its capability."""
    if file.bundle is None:
        return None
    shelf = Shelf(file.bundle)
    for capability in ("", gpu.capability):
        request = _request(file, contract, capability)
        key = engine_key(kind, str(trt.__version__), gpu, file.sha256, request)
        if (found := shelf.find(key)) is not None:
            return found
    return None


def _request(file: ModelFile, contract: Contract, capability: str = "") -> Request:
    return Request(
        file.precision, capability, contract.input_shape, contract.max_batch, WORKSPACE_MB
    )


def _build(kind: str, trt: Any, file: ModelFile, contract: Contract, gpu: Gpu, host: Host) -> bytes:
    """Compile the graph in a child process and keep the engine for the next start."""
    request = _request(file, contract)
    shelf = Shelf(file.bundle) if file.bundle is not None else None
    log.info("%s: building an engine with %s %s", file.path, kind, trt.__version__)
    try:
        engine = host.build(
            kind,
            file.path,
            request,
            timing_cache=shelf.timing_cache if shelf is not None else b"",
            tell=lambda phase: log.info("%s: %s", file.path, phase),
        )
    except OSError as error:
        raise ModelError(f"{file.path}: no engine can be built: {error}") from None
    if shelf is not None:
        key = engine_key(kind, str(trt.__version__), gpu, file.sha256, request)
        try:
            shelf.put(key, file.path.stem, engine.plan)
            shelf.keep_timings(engine.timing_cache)
        except StorageError as error:
            log.warning("%s; the engine is built again at the next start", error)
    return engine.plan


class _Tensor(NamedTuple):
    """Name and shape of an input or output; free sides are -1."""

    name: str
    shape: tuple[int, ...]


def _tensors(trt: Any, engine: Any, contract: Contract) -> tuple[_Tensor, _Tensor]:
    """The one input and the one output, held against the contract."""
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    given, made = (
        [
            _Tensor(name, tuple(int(side) for side in engine.get_tensor_shape(name)))
            for name in names
            if engine.get_tensor_mode(name) == mode
        ]
        for mode in (trt.TensorIOMode.INPUT, trt.TensorIOMode.OUTPUT)
    )
    if len(given) != 1 or len(made) != 1:
        raise ModelError(f"the engine has {len(given)} inputs and {len(made)} outputs, not 1 and 1")
    for tensor in (given[0], made[0]):
        if engine.get_tensor_dtype(tensor.name) != trt.DataType.FLOAT:
            raise ModelError(f"the engine's {tensor.name} is not float32")
    taken, raw = given[0].shape, made[0].shape
    if len(taken) != 4 or taken[1:] != contract.input_shape[1:] or taken[0] not in (1, -1):
        raise ModelError(
            f"the engine takes {list(taken)}, the manifest promises {list(contract.input_shape)};"
            " build the bundle again"
        )
    if len(raw) != 3 or raw[contract.channel_axis] != contract.channels or min(raw[1:]) < 1:
        raise ModelError(
            f"the engine gives {list(raw)}, the manifest's head and classes promise"
            f" {contract.channels} values on axis {contract.channel_axis}; build the bundle again"
        )
    return given[0], made[0]


def _context(trt: Any, engine: Any) -> Any:
    strategy = find(trt, "CudaGraphStrategy")
    if strategy is None:
        return engine.create_execution_context()
    config = engine.create_runtime_config()
    config.cuda_graph_strategy = strategy.WHOLE_GRAPH_CAPTURE
    return engine.create_execution_context(config)
