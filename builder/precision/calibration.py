"""Which pictures set the ranges of int8, and how they reach ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from builder.dataset.policy import Policy, keeps
from edge_agent.detection.decode import Floats

IMAGES = 64
LEAST = 8
"""With fewer pictures a range is one picture's accident."""


def choose(names: Sequence[str], most: int = IMAGES) -> list[str]:
    """Up to ``most`` names spread evenly over all of them, in their order."""
    if len(names) <= most:
        return list(names)
    return [names[index * len(names) // most] for index in range(most)]


def typical(names: Sequence[str], ssim: Mapping[str, float]) -> list[str]:
    """The pictures that look like the reference, by the rule of ``dataset check``.

    A dirty lens or a hand in the picture would widen the ranges for good. Only what is three
    deviations below the mean goes: ranges want the whole of what is normal, not its better half.

    Args:
        names: all pictures.
        ssim: their scores; empty without a reference picture, then all stay.
    """
    if not ssim:
        return list(names)
    threshold = Policy("k-sigma").threshold(list(ssim.values()))
    return [name for name in names if keeps(ssim[name], threshold)]


class Reader:
    """What ``onnxruntime.quantization`` draws from: one tensor at a time, each once.

    Args:
        name: of the graph's input.
        tensors: (1, 3, h, w) float32 each.
    """

    def __init__(self, name: str, tensors: Iterable[Floats]) -> None:
        self._name = name
        self._tensors: Iterator[Floats] = iter(tensors)

    def get_next(self) -> dict[str, Floats] | None:
        """The next feed, None at the end."""
        tensor = next(self._tensors, None)
        return None if tensor is None else {self._name: tensor}
