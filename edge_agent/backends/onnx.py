"""ONNX Runtime: the CPU, CUDA and TensorRT execution providers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from edge_agent.backends.base import TOO_LARGE, BackendOptions, Contract, Tensor
from edge_agent.errors import ModelError

PROVIDERS = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
_NAMES = {value: name for name, value in PROVIDERS.items()}
_MEMORY = re.compile(r"bad_alloc|[Ff]ailed to allocate memory|out of memory", re.IGNORECASE)


class OnnxBackend:
    """One ONNX file in an inference session."""

    def __init__(self, path: Path, contract: Contract, options: BackendOptions) -> None:
        _check(options)
        self.path = path
        self.wanted_provider = options.providers[0]
        self._session: Any = _open(path, options)
        self.provider = _active(self._session)
        if self.provider != self.wanted_provider and options.fallback != "allow":
            raise ModelError(
                f"{path}: provider {self.wanted_provider!r} was wanted, {self.provider!r} is"
                " active; look at the driver and the runtime's libraries, or set"
                ' fallback = "allow"'
            )
        try:
            self._input, self.input_shape = _input(self._session, contract)
            self._output, self.output_shape = _output(self._session, contract)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from None

    def run(self, tensor: Tensor) -> Tensor:
        """The raw output for one (1, 3, h, w) float32 tensor; raises `ModelError`."""
        try:
            raw: Tensor = self._session.run([self._output], {self._input: tensor})[0]
        except Exception as error:  # the runtime has no common base class
            raise ModelError(f"{self.path}: {_reason(error)}") from None
        return raw

    def close(self) -> None:
        """Let go of the session."""
        self._session = None


def load(path: Path, contract: Contract, options: BackendOptions) -> OnnxBackend:
    """The factory of this backend (see `edge_agent.backends.load_backend`)."""
    return OnnxBackend(path, contract, options)


def _open(path: Path, options: BackendOptions) -> Any:
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise ModelError(
            f"onnxruntime is not installed ({error}); `pip install outpost-edge[cpu]`, or take it"
            " from the system on a Jetson"
        ) from None
    providers = _choose(options, set(ort.get_available_providers()))
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.inter_op_num_threads = 1
    # Threads that spin between two frames take the cores from capture, gate and telemetry; without
    # any spinning a small model is as slow on two cores as on one.
    settings.add_session_config_entry("session.force_spinning_stop", "1")
    settings.log_severity_level = 4  # its errors are raised, and put into words here
    try:
        # Its own fallback prints and goes on with another provider; ours is decided above.
        return ort.InferenceSession(str(path), settings, providers=providers, enable_fallback=0)
    except Exception as error:
        raise ModelError(f"{path}: cannot be loaded: {_reason(error)}") from None


def _check(options: BackendOptions) -> None:
    known = ", ".join(PROVIDERS)
    if not options.providers:
        raise ModelError(f"no provider is named; name some of {known}")
    for name in options.providers:
        if name not in PROVIDERS:
            raise ModelError(f'provider "{name}" is not one of {known}')


def _choose(options: BackendOptions, available: set[str]) -> list[str]:
    wanted = options.providers[0]
    if PROVIDERS[wanted] not in available and options.fallback != "allow":
        have = ", ".join(name for name in PROVIDERS if PROVIDERS[name] in available)
        raise ModelError(
            f"provider {wanted!r} is not in this onnxruntime (it has {have}); install the build"
            f' that has it, or set providers = ["cpu"], or fallback = "allow"'
        )
    chosen = [PROVIDERS[name] for name in options.providers if PROVIDERS[name] in available]
    return [*chosen, *({PROVIDERS["cpu"]} - set(chosen))]


def _active(session: Any) -> str:
    first: str = session.get_providers()[0]
    return _NAMES.get(first, first)


def _input(session: Any, contract: Contract) -> tuple[str, tuple[int, ...]]:
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise ModelError(f"the graph has {len(inputs)} inputs, one picture tensor is expected")
    node = inputs[0]
    fits = len(node.shape) == 4 and all(
        not isinstance(side, int) or side == promised
        for side, promised in zip(node.shape, contract.input_shape, strict=True)
    )
    if not fits or node.type != "tensor(float)":
        raise ModelError(
            f"the graph takes {node.type} {node.shape}, the manifest promises float32"
            f" {list(contract.input_shape)}; build the bundle again"
        )
    return node.name, contract.input_shape


def _output(session: Any, contract: Contract) -> tuple[str, tuple[int, ...]]:
    node = session.get_outputs()[0]
    shape, axis = node.shape, contract.channel_axis
    known = len(shape) == 3 and isinstance(shape[axis], int)
    if len(shape) != 3 or (known and shape[axis] != contract.channels):
        raise ModelError(
            f"the graph gives {shape}, the manifest's head and classes promise"
            f" {contract.channels} values on axis {axis}; build the bundle again"
        )
    if node.type != "tensor(float)":
        raise ModelError(f"the graph gives {node.type}, float32 is expected")
    return node.name, tuple(side if isinstance(side, int) else -1 for side in shape)


def _reason(error: BaseException) -> str:
    if isinstance(error, MemoryError) or _MEMORY.search(str(error)):
        return f"the model {TOO_LARGE}"
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:297] + "..."
