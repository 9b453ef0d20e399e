"""Backends that go wrong while they run: what a live engine can do that a file cannot show.

::

    backend = Damaged(real, nan)     # a backend like any other,
    backend.broken = True            # until now
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edge_agent.backends import Backend
from edge_agent.backends.base import Outputs, Tensor


class Damaged:
    """A backend around a real one whose output is spoilt as long as `broken` is set.

    Args:
        backend: the real one.
        spoil: what becomes of its raw output.
    """

    def __init__(self, backend: Backend, spoil: Callable[[Tensor], Tensor]) -> None:
        self.broken = False
        self.provider = backend.provider
        self.wanted_provider = backend.wanted_provider
        self.fallback_reason = backend.fallback_reason
        self.input_shape = backend.input_shape
        self.output_shape = backend.output_shape
        self.max_batch = backend.max_batch
        self.embeds = backend.embeds
        self._backend = backend
        self._spoil = spoil

    def outputs(self, tensor: Tensor) -> Outputs:
        """The real output, or the spoilt one."""
        real = self._backend.outputs(tensor)
        return Outputs(self._spoil(real.raw), real.embedding) if self.broken else real

    def run(self, tensor: Tensor) -> Tensor:
        """The raw one."""
        return self.outputs(tensor).raw

    def close(self) -> None:
        """Let go of the real one."""
        self._backend.close()


def nan(raw: Tensor) -> Tensor:
    """An overflow somewhere: every tenth value is NaN."""
    spoilt = raw.copy()
    spoilt.reshape(-1)[::10] = np.nan
    return spoilt


def wrong(raw: Tensor) -> Tensor:
    """Weights with flipped bits: boxes and scores shrink."""
    return np.asarray(raw * np.float32(0.6), np.float32)


def coarse(raw: Tensor) -> Tensor:
    """A provider that computes with three bits of mantissa, as no variant was proven to."""
    mantissa, exponent = np.frexp(raw)
    return np.asarray(np.ldexp(np.round(mantissa * 8) / 8, exponent), np.float32)


def raising(raw: Tensor) -> Tensor:
    """A driver that fell over."""
    raise RuntimeError("the device was lost")
