"""What every runtime offers to the detector."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edge_agent.bundle_types import EmbeddingSpec
from edge_agent.engines import modules
from edge_agent.engines.compile import Engine
from edge_agent.errors import ModelError

Tensor = npt.NDArray[np.float32]

TOO_LARGE = "needs more memory than there is"
_MEMORY = re.compile(r"bad_alloc|[Ff]ailed to allocate memory|out of memory", re.IGNORECASE)


class Unavailable(ModelError):
    """This machine cannot offer a provider, whatever the model."""


@dataclass(frozen=True)
class ModelFile:
    """One variant on disk.

    Attributes:
        path: the ONNX file.
        sha256: of its bytes; engines are found by it.
        precision: as the manifest says.
        bundle: the folder beside whose files engines are kept; None keeps none.
    """

    path: Path
    sha256: str = ""
    precision: str = "fp32"
    bundle: Path | None = None


@dataclass(frozen=True)
class Contract:
    """What the manifest promises of a graph; a backend refuses a file that is otherwise.

    Attributes:
        input_shape: (1, 3, height, width).
        channels: length of the raw output's axis that holds box and scores.
        channel_axis: 1 for (1, 4+nc, N), 2 for (1, N, 5+nc).
        max_batch: pictures that one run of the graph may take; 1 for a fixed one.
        embedding: the second output, None where there is none.
    """

    input_shape: tuple[int, int, int, int]
    channels: int
    channel_axis: int
    max_batch: int = 1
    embedding: EmbeddingSpec | None = None


@dataclass(frozen=True)
class Outputs:
    """What one run gave for b pictures.

    Attributes:
        raw: (b, ...) of the head.
        embedding: (b, channels); None where the backend gives none.
    """

    raw: Tensor
    embedding: Tensor | None = None

    def parts(self) -> list[Outputs]:
        """Those of each picture by itself."""
        rows = range(len(self.raw))
        if self.embedding is None:
            return [Outputs(self.raw[row : row + 1]) for row in rows]
        return [Outputs(self.raw[r : r + 1], self.embedding[r : r + 1]) for r in rows]


@dataclass(frozen=True)
class BackendOptions:
    """How to run it.

    Attributes:
        providers: in the wanted order, names of `edge_agent.backends.PROVIDERS`.
        fallback: ``refuse`` raises when the first cannot be had, ``allow`` takes the next, and the
            CPU when none of them can be had.
        threads: of the CPU provider, 0 for all cores.
    """

    providers: tuple[str, ...] = ("cpu",)
    fallback: str = "refuse"
    threads: int = 0


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise Unavailable(
            f"onnxruntime is not installed ({error}); `pip install outpost-edge[cpu]`, or take it"
            " from the system on a Jetson"
        ) from None
    return onnxruntime


def _driver() -> Any:
    from edge_agent.backends.cuda import Driver

    return Driver.open()


def _build(*given: Any, **named: Any) -> Engine:
    from edge_agent.engines import child

    return child.build(*given, **named)


@dataclass(frozen=True)
class Host:
    """Where runtimes come from on this machine; a simulator brings others.

    Attributes:
        onnxruntime: the module; raises `ModelError` when it is not installed.
        module: TensorRT (``tensorrt``) or TensorRT-RTX (``trt-rtx``); the same.
        gpu: the first GPU, or None.
        driver: its `edge_agent.backends.cuda.Driver`; raises `ModelError` without one.
        build: compiles an engine, as `edge_agent.engines.child.build`.
    """

    onnxruntime: Callable[[], Any] = _onnxruntime
    module: Callable[[str], Any] = modules.load
    gpu: Callable[[], modules.Gpu | None] = modules.this_gpu
    driver: Callable[[], Any] = _driver
    build: Callable[..., Engine] = _build


class Backend(Protocol):
    """A loaded model. One thread at a time may run it, not always the same one."""

    provider: str
    """The active provider."""

    wanted_provider: str
    """The one that was asked for first."""

    fallback_reason: str
    """Why it is another one than the wanted; "" when it is not."""

    input_shape: tuple[int, ...]
    """(1, 3, height, width)."""

    output_shape: tuple[int, ...]
    """Of one picture's raw output; a side that the graph leaves free is -1."""

    max_batch: int
    """Pictures that one run of the graph takes; more are run in parts."""

    embeds: bool
    """Whether it gives the embedding that the contract names."""

    def outputs(self, tensor: Tensor) -> Outputs:
        """What `run` gives, and the embedding where there is one."""
        ...

    def run(self, tensor: Tensor) -> Tensor:
        """The raw output, (b, ...), for (b, 3, h, w) float32; it belongs to the caller.

        Raises:
            ModelError: the tensor has another shape, or the runtime fails, with its reason in one
                line.
        """
        ...

    def close(self) -> None:
        """Let go of the model's memory."""
        ...


def in_parts(
    tensor: Tensor, input_shape: tuple[int, ...], most: int, run: Callable[[Tensor], Outputs]
) -> Outputs:
    """Run any number of pictures through a graph that takes so many at a time.

    Args:
        tensor: (b, 3, h, w) float32.
        input_shape: (1, 3, h, w) of the graph.
        most: pictures per run.
        run: takes (1..most, 3, h, w).

    Raises:
        ModelError: the tensor is another one than the graph takes.
    """
    if tensor.shape[1:] != input_shape[1:] or tensor.dtype != np.float32 or not len(tensor):
        wanted = ", ".join(str(side) for side in input_shape[1:])
        raise ModelError(
            f"the tensor is {tensor.dtype} {list(tensor.shape)}, the graph takes float32"
            f" [1 or more, {wanted}]"
        )
    if len(tensor) <= most:
        return run(tensor)
    parts = [run(tensor[start : start + most]) for start in range(0, len(tensor), most)]
    embeddings = [part.embedding for part in parts if part.embedding is not None]
    return Outputs(
        np.concatenate([part.raw for part in parts]),
        np.concatenate(embeddings) if embeddings else None,
    )


def in_words(error: BaseException) -> str:
    """What a runtime raised, in one line; a lack of memory by its name."""
    if isinstance(error, MemoryError) or _MEMORY.search(str(error)):
        return f"the model {TOO_LARGE}"
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:297] + "..."
