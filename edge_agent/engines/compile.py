"""ONNX to engine, with TensorRT 8.5 to 11 and TensorRT-RTX through one function.

Where networks can be strongly typed they are: precision then comes from the graph's own tensors. On
8.x, builder flags allow what the graph asks for. Nothing here needs a GPU by itself; TensorRT does,
TensorRT-RTX does not when it is told the compute capability.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge_agent.engines.log import SHOWN, error_log
from edge_agent.engines.names import find, known_capabilities
from edge_agent.errors import ModelError

WORKSPACE_MB = 1024
MAX_BATCH = 4
"""Of engines whose graph takes any number of pictures per run."""

_FLAGS = {"fp16": ("FP16",), "int8": ("INT8", "FP16")}


@dataclass(frozen=True)
class Request:
    """What to build.

    Attributes:
        precision: of the variant; used where networks cannot be strongly typed.
        capability: like ``8.6``, for TensorRT-RTX; "" builds for the GPU of this machine.
        shape: (1, 3, height, width).
        max_batch: for graphs with a free batch.
        workspace_mb: scratch memory that the engine may use while it runs.
    """

    precision: str
    capability: str
    shape: tuple[int, int, int, int]
    max_batch: int
    workspace_mb: int

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Least, usual and largest input."""
        largest = (self.max_batch, *self.shape[1:])
        return (self.shape, self.shape, largest)

    @property
    def flags(self) -> tuple[str, ...]:
        """The rest of what the engine depends on."""
        return (f"workspace={self.workspace_mb}",)


@dataclass(frozen=True)
class Engine:
    """What was built: the plan and the timing cache, which belongs to this device."""

    plan: bytes
    timing_cache: bytes


def compile_engine(
    trt: Any, onnx: bytes, request: Request, timing_cache: bytes, tell: Callable[[str], None]
) -> Engine:
    """Build an engine in this process.

    Args:
        trt: the module.
        onnx: the variant's file.
        request: what to build.
        timing_cache: of an earlier build on this device; empty, foreign or damaged is no harm. It
            is not used for a named capability.
        tell: hears of each phase that begins.

    Raises:
        ModelError: the parser refuses a node, or the builder the network, with its reason.
    """
    log = error_log(trt)
    builder = trt.Builder(log)
    network = builder.create_network(_network_flags(trt))
    parser = trt.OnnxParser(network, log)
    tell("parse")
    if not parser.parse(onnx):
        raise ModelError(f"the parser refuses the graph: {_parser_errors(parser)}")
    _leave_raw_output(network)
    config = builder.create_builder_config()
    _set_types(trt, config, request)
    _set_capability(trt, config, request)
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, request.workspace_mb << 20)
    _set_profile(builder, network, config, request)
    if not request.capability:  # nothing is timed ahead of time
        _set_timings(config, timing_cache)
    _set_monitor(trt, config, tell)
    tell("build")
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ModelError(f"TensorRT builds no engine: {log.reason()}")
    return Engine(bytes(plan), b"" if request.capability else _timings(config))


def _leave_raw_output(network: Any) -> None:
    """Take the embedding out: an engine's buffers and its recorded graph are for one output."""
    for index in reversed(range(1, network.num_outputs)):
        network.unmark_output(network.get_output(index))


def _network_flags(trt: Any) -> int:
    flags = 0
    strong = find(trt, "NetworkDefinitionCreationFlag.STRONGLY_TYPED")
    explicit = find(trt, "NetworkDefinitionCreationFlag.EXPLICIT_BATCH")
    if strong is not None:
        flags |= 1 << int(strong)
    elif explicit is not None:
        flags |= 1 << int(explicit)
    return flags


def _set_types(trt: Any, config: Any, request: Request) -> None:
    """Allow narrow types by flags, only where the network does not say them itself."""
    if find(trt, "NetworkDefinitionCreationFlag.STRONGLY_TYPED") is not None:
        return
    for name in _FLAGS.get(request.precision, ()):
        config.set_flag(find(trt, f"BuilderFlag.{name}"))


def _set_capability(trt: Any, config: Any, request: Request) -> None:
    if not request.capability:
        return
    kinds = find(trt, "ComputeCapability")
    if kinds is None:
        raise ModelError(
            f"tensorrt {trt.__version__} compiles for the GPU of this machine only; leave out the"
            " compute capability, or use trt-rtx"
        )
    kind = getattr(kinds, "SM" + request.capability.replace(".", ""), None)
    if kind is None:
        known = ", ".join(known_capabilities(trt))
        raise ModelError(f"no compute capability {request.capability}; there are {known}")
    config.num_compute_capabilities = 1
    config.set_compute_capability(kind, 0)


def _set_profile(builder: Any, network: Any, config: Any, request: Request) -> None:
    """State the range of every input that leaves a side free."""
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    free = [one for one in inputs if any(side < 0 for side in one.shape)]
    if not free:
        return
    profile = builder.create_optimization_profile()
    for one in free:
        profile.set_shape(one.name, *request.shapes)
    config.add_optimization_profile(profile)


def _set_monitor(trt: Any, config: Any, tell: Callable[[str], None]) -> None:
    base = find(trt, "IProgressMonitor")
    if base is None:
        return

    class Monitor(base):  # type: ignore[misc, valid-type]
        """Tells the name of each outer phase."""

        def __init__(self) -> None:
            base.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            if not parent_phase:
                tell(phase_name)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return True

        def phase_finish(self, phase_name: str) -> None:
            pass

    config.progress_monitor = Monitor()


def _set_timings(config: Any, data: bytes) -> None:
    cache = config.create_timing_cache(data)
    if cache is None or not config.set_timing_cache(cache, False):
        config.set_timing_cache(config.create_timing_cache(b""), False)


def _timings(config: Any) -> bytes:
    cache = config.get_timing_cache()
    return b"" if cache is None else bytes(cache.serialize())


def _parser_errors(parser: Any) -> str:
    found = [parser.get_error(index) for index in range(parser.num_errors)]
    texts = []
    for error in found[:SHOWN]:
        node = error.node_name() if hasattr(error, "node_name") else ""
        reason = " ".join(error.desc().split())[:200]
        texts.append(f"node {node}: {reason}" if node else reason)
    return "; ".join(texts) or "it gives no reason"
