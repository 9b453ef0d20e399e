"""What ONNX Runtime's TensorRT provider is told: types, shapes, and where its engines lie.

It keeps engines by the graph and does not notice another driver or TensorRT, so each combination
gets a folder of its own, named by the key that our own engines have (`edge_agent.engines.key`).
"""

from __future__ import annotations

import logging
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from edge_agent.backends.base import Contract, ModelFile, in_words
from edge_agent.engines.compile import WORKSPACE_MB, Request
from edge_agent.engines.key import EngineKey, engine_key
from edge_agent.engines.modules import Gpu
from edge_agent.engines.shelf import Shelf
from edge_agent.errors import ModelError, StorageError

KIND = "onnxruntime-tensorrt"
log = logging.getLogger(__name__)


def tensorrt_options(ort: Any, file: ModelFile, contract: Contract, gpu: Gpu) -> dict[str, str]:
    """Provider options, all of them texts, as ONNX Runtime's documentation names them."""
    request = Request(file.precision, "", contract.input_shape, contract.max_batch, WORKSPACE_MB)
    options = {
        "device_id": "0",
        "trt_max_workspace_size": str(WORKSPACE_MB << 20),
        "trt_fp16_enable": "1" if file.precision in ("fp16", "int8") else "0",
        "trt_int8_enable": "1" if file.precision == "int8" else "0",  # ranges are in the graph
    }
    options |= _cache(file, engine_key(KIND, _version(ort), gpu, file.sha256, request))
    if contract.max_batch > 1:
        options |= _profile(_input_name(ort, file), request)
    return options


def _version(ort: Any) -> str:
    """Of both: another TensorRT under the same ONNX Runtime needs other engines."""
    try:
        tensorrt = version("tensorrt")
    except PackageNotFoundError:
        tensorrt = "unknown"
    return f"{ort.__version__} tensorrt {tensorrt}"


def _cache(file: ModelFile, key: EngineKey) -> dict[str, str]:
    """Where engines and timings are kept; nothing when there is no such place."""
    if file.bundle is None:
        return {}
    try:
        folder = str(Shelf(file.bundle).room(key, file.path.stem))
    except StorageError as error:
        log.warning("%s; the engine is built again at each start", error)
        return {}
    return {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": folder,
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": folder,
    }


def _profile(name: str, request: Request) -> dict[str, str]:
    """Ranges of the free side; without them each new number of pictures builds an engine."""
    texts = [f"{name}:{'x'.join(map(str, shape))}" for shape in request.shapes]
    titles = ("trt_profile_min_shapes", "trt_profile_opt_shapes", "trt_profile_max_shapes")
    return dict(zip(titles, texts, strict=True))


def _input_name(ort: Any, file: ModelFile) -> str:
    """The input's name, by a look without optimisation; raises `ModelError`."""
    settings = ort.SessionOptions()
    settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    settings.log_severity_level = 4
    try:
        session = ort.InferenceSession(str(file.path), settings, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime has no common base class
        raise ModelError(f"{file.path}: cannot be loaded: {in_words(error)}") from None
    name: str = session.get_inputs()[0].name
    return name
