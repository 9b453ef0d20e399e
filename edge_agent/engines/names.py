"""What we use of the two modules' interfaces, and since or until when each name is there.

Written from NVIDIA's release notes and API pages for TensorRT 8.5 to 11 and from the installed
tensorrt_rtx 1.7; a test holds the code against this list, and this list against what is installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

ALWAYS = (
    "Builder",
    "Builder.build_serialized_network",
    "Builder.create_builder_config",
    "Builder.create_network",
    "Builder.create_optimization_profile",
    "IBuilderConfig.add_optimization_profile",
    "IBuilderConfig.create_timing_cache",
    "IBuilderConfig.get_timing_cache",
    "IBuilderConfig.set_flag",
    "IBuilderConfig.set_memory_pool_limit",
    "IBuilderConfig.set_timing_cache",
    "ILogger",
    "INetworkDefinition.get_input",
    "INetworkDefinition.get_output",
    "INetworkDefinition.num_inputs",
    "INetworkDefinition.num_outputs",
    "INetworkDefinition.unmark_output",
    "IOptimizationProfile.set_shape",
    "ITimingCache.serialize",
    "MemoryPoolType.WORKSPACE",
    "OnnxParser",
    "OnnxParser.get_error",
    "OnnxParser.num_errors",
    "OnnxParser.parse",
    "ParserError.desc",
    "__version__",
)
"""In TensorRT 8.5 to 11 and in TensorRT-RTX, for building engines."""

RUNNING = (
    "DataType.FLOAT",
    "ICudaEngine.create_execution_context",
    "ICudaEngine.get_tensor_dtype",
    "ICudaEngine.get_tensor_mode",
    "ICudaEngine.get_tensor_name",
    "ICudaEngine.get_tensor_shape",
    "ICudaEngine.num_io_tensors",
    "IExecutionContext.execute_async_v3",
    "IExecutionContext.set_input_shape",
    "IExecutionContext.set_tensor_address",
    "ILogger",
    "Runtime",
    "Runtime.deserialize_cuda_engine",
    "TensorIOMode.INPUT",
    "TensorIOMode.OUTPUT",
    "__version__",
)
"""The same, for running them."""

SOMETIMES: dict[str, tuple[float | None, float | None, bool]] = {
    "NetworkDefinitionCreationFlag.EXPLICIT_BATCH": (8.5, 10.99, False),
    "NetworkDefinitionCreationFlag.STRONGLY_TYPED": (10.0, None, True),
    "BuilderFlag.FP16": (8.5, 10.99, False),
    "BuilderFlag.INT8": (8.5, 10.99, False),
    "IProgressMonitor": (10.0, None, True),
    "IBuilderConfig.progress_monitor": (10.0, None, True),
    "ParserError.node_name": (10.0, None, True),
    "ComputeCapability": (None, None, True),
    "IBuilderConfig.num_compute_capabilities": (None, None, True),
    "IBuilderConfig.set_compute_capability": (None, None, True),
    "CudaGraphStrategy.WHOLE_GRAPH_CAPTURE": (None, None, True),
    "IRuntimeConfig.cuda_graph_strategy": (None, None, True),
    "ICudaEngine.create_runtime_config": (10.14, None, True),
}
"""Name -> first and last TensorRT that has it (None: never, or up to the newest), and whether
TensorRT-RTX has it. Where the first is None, only TensorRT-RTX does."""


def find(module: Any, name: str) -> Any:
    """The object with this dotted name, None where this version has none."""
    found = module
    for part in name.split("."):
        found = getattr(found, part, None)
        if found is None:
            return None
    return found


def missing(module: Any, wanted: Sequence[str] = ALWAYS) -> list[str]:
    """The wanted names that a module lacks: it is none of the versions that we know."""
    return [name for name in wanted if find(module, name) is None]


def known_capabilities(module: Any) -> tuple[str, ...]:
    """The compute capabilities that a module compiles for without their GPU, like ``8.6``."""
    names = (name.removeprefix("SM") for name in dir(find(module, "ComputeCapability")))
    numbers = sorted(int(name) for name in names if name.isdecimal())
    return tuple(f"{number // 10}.{number % 10}" for number in numbers)
