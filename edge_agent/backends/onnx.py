"""ONNX Runtime: its CPU, CUDA and TensorRT execution providers."""

from __future__ import annotations

from typing import Any

from edge_agent.backends import probe
from edge_agent.backends.base import (
    BackendOptions,
    Contract,
    Host,
    ModelFile,
    Outputs,
    Tensor,
    Unavailable,
    in_parts,
    in_words,
)
from edge_agent.backends.onnx_tensorrt import tensorrt_options
from edge_agent.engines.modules import Gpu
from edge_agent.errors import ModelError

PROVIDERS = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
# Memory beside the model in use is scarce; the default doubles what it takes at each step.
_CUDA = {"device_id": "0", "arena_extend_strategy": "kSameAsRequested"}


class OnnxBackend:
    """One ONNX file in an inference session."""

    def __init__(self, name: str, file: ModelFile, contract: Contract, session: Any) -> None:
        self.path = file.path
        self.provider = self.wanted_provider = name
        self.fallback_reason = ""
        self._session: Any = session
        self._input, self.input_shape, self.max_batch = _input(session, contract)
        output, self.output_shape = _output(session, contract)
        self.embeds = contract.embedding is not None
        self._outputs = [output, *_embedding(session, contract)]

    def outputs(self, tensor: Tensor) -> Outputs:
        """Raw output and embedding for (b, 3, h, w) float32; raises `ModelError`."""
        return in_parts(tensor, self.input_shape, self.max_batch, self._run)

    def run(self, tensor: Tensor) -> Tensor:
        """The raw output for (b, 3, h, w) float32; raises `ModelError`."""
        return self.outputs(tensor).raw

    def _run(self, tensor: Tensor) -> Outputs:
        try:
            return Outputs(*self._session.run(self._outputs, {self._input: tensor}))
        except Exception as error:  # the runtime has no common base class
            raise ModelError(f"{self.path}: {in_words(error)}") from None

    def close(self) -> None:
        """Let go of the session."""
        self._session = None


def load(
    name: str, file: ModelFile, contract: Contract, options: BackendOptions, host: Host
) -> OnnxBackend:
    """The factory of this backend (see `edge_agent.backends.load_backend`)."""
    ort = host.onnxruntime()
    available = set(ort.get_available_providers())
    if PROVIDERS[name] not in available:
        have = ", ".join(known for known in PROVIDERS if PROVIDERS[known] in available)
        raise Unavailable(
            f"{PROVIDERS[name]} is not in this onnxruntime (it has {have}); install the build that"
            " has it"
        )
    gpu = None
    if name != "cpu":
        gpu = host.gpu()
        if gpu is None:
            raise Unavailable("no NVIDIA GPU with a driver is found on this machine")
        probe.preload(ort, PROVIDERS[name])
    providers = _providers(name, file, contract, ort, gpu, available)
    session = _open(ort, name, file, options, providers)
    active = session.get_providers()[0]
    if active != PROVIDERS[name]:
        raise _not_started(name, file, f"{active} did")
    try:
        return OnnxBackend(name, file, contract, session)
    except ModelError as error:
        raise ModelError(f"{file.path}: {error}") from None


def _not_started(name: str, file: ModelFile, seen: str) -> Unavailable:
    why = probe.ask(file.path, PROVIDERS[name]) or f"{seen}, look at the driver and its libraries"
    return Unavailable(f"{PROVIDERS[name]} did not start: {why}")


def _providers(
    name: str, file: ModelFile, contract: Contract, ort: Any, gpu: Gpu | None, available: set[str]
) -> list[Any]:
    """What the session is given: the one that is meant, and what takes the nodes it leaves."""
    chosen: list[Any] = [PROVIDERS["cpu"]]
    if name != "cpu" and PROVIDERS["cuda"] in available:
        chosen.insert(0, (PROVIDERS["cuda"], _CUDA))
    if name == "tensorrt":
        assert gpu is not None
        chosen.insert(0, (PROVIDERS[name], tensorrt_options(ort, file, contract, gpu)))
    return chosen


def _open(
    ort: Any, name: str, file: ModelFile, options: BackendOptions, providers: list[Any]
) -> Any:
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.inter_op_num_threads = 1
    # Threads that spin between two frames take the cores from capture, gate and telemetry; without
    # any spinning a small model is as slow on two cores as on one.
    settings.add_session_config_entry("session.force_spinning_stop", "1")
    # One block for all activations, planned after the first run, would stand beside what that run
    # had taken: a tenth more memory, and not faster.
    settings.enable_mem_pattern = False
    settings.log_severity_level = 4  # its errors are raised, and put into words here
    try:
        # Its own fallback prints and goes on with another provider; ours is decided by the caller.
        return ort.InferenceSession(
            str(file.path), settings, providers=providers, enable_fallback=0
        )
    except Exception as error:
        if name != "cpu" and isinstance(error, RuntimeError):  # a model's faults are others
            raise _not_started(name, file, in_words(error)) from None
        raise ModelError(f"{file.path}: cannot be loaded: {in_words(error)}") from None


def _input(session: Any, contract: Contract) -> tuple[str, tuple[int, ...], int]:
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
    fixed = isinstance(node.shape[0], int)
    return node.name, contract.input_shape, 1 if fixed else contract.max_batch


def _embedding(session: Any, contract: Contract) -> list[str]:
    """The name of the second output, where the manifest promises one."""
    wanted = contract.embedding
    if wanted is None:
        return []
    for node in session.get_outputs()[1:]:
        if node.name != wanted.output:
            continue
        if node.type != "tensor(float)" or list(node.shape[1:]) != [wanted.channels]:
            raise ModelError(
                f"the graph gives {node.type} {node.shape} as {wanted.output}, the manifest"
                f" promises {wanted.channels} float32 values per picture; build the bundle again"
            )
        return [wanted.output]
    raise ModelError(
        f"the graph gives no {wanted.output}, which the manifest promises; build the bundle again"
    )


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
    sides = tuple(side if isinstance(side, int) else -1 for side in shape)
    return node.name, (1, *sides[1:])
