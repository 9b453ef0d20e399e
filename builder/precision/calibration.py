"""Which pictures set the ranges of int8."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from builder.dataset.policy import Policy, keeps

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
