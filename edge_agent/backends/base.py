"""What every runtime offers to the detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Tensor = npt.NDArray[np.float32]

TOO_LARGE = "needs more memory than there is"


@dataclass(frozen=True)
class Contract:
    """What the manifest promises of a graph; a backend refuses a file that is otherwise.

    Attributes:
        input_shape: (1, 3, height, width).
        channels: length of the raw output's axis that holds box and scores.
        channel_axis: 1 for (1, 4+nc, N), 2 for (1, N, 5+nc).
    """

    input_shape: tuple[int, int, int, int]
    channels: int
    channel_axis: int


@dataclass(frozen=True)
class BackendOptions:
    """How to run it.

    Attributes:
        providers: execution providers in the wanted order (``tensorrt``, ``cuda``, ``cpu``).
        fallback: ``refuse`` raises when the first is not the active one, ``allow`` goes on.
        threads: of the CPU provider, 0 for all cores.
    """

    providers: tuple[str, ...] = ("cpu",)
    fallback: str = "refuse"
    threads: int = 0


class Backend(Protocol):
    """A loaded model."""

    provider: str
    """The active execution provider."""

    wanted_provider: str
    """The one that was asked for first."""

    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]

    def run(self, tensor: Tensor) -> Tensor:
        """The raw output for (1, 3, h, w) float32.

        Raises:
            ModelError: when the runtime fails, with its reason in one line.
        """
        ...

    def close(self) -> None:
        """Let go of the model's memory."""
        ...
