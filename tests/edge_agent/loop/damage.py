"""Backends that go wrong while they run: what a live engine can do that a file cannot show.

::

    loaded = load_release(...)
    damaged = Damaged(backend, nan)        # a backend like another, until `begin`
    damaged.begin()
"""

from __future__ import annotations

import numpy as np


class Damaged:
    """A backend around a real one, whose output a function spoils from `begin` on."""

    def __init__(self, backend, spoil):
        self._backend = backend
        self._spoil = spoil
        self.broken = False
        self.provider = backend.provider
        self.wanted_provider = backend.wanted_provider
        self.fallback_reason = backend.fallback_reason
        self.input_shape = backend.input_shape
        self.output_shape = backend.output_shape
        self.max_batch = backend.max_batch

    def begin(self):
        """From now on the output is wrong."""
        self.broken = True

    def run(self, tensor):
        raw = self._backend.run(tensor)
        return self._spoil(raw) if self.broken else raw

    def close(self):
        self._backend.close()


def nan(raw):
    """An overflow somewhere: every tenth value is NaN."""
    spoilt = raw.copy()
    spoilt.reshape(-1)[::10] = np.nan
    return spoilt


def wrong(raw):
    """Weights with flipped bits: all scores are lower, boxes are elsewhere."""
    return (raw * np.float32(0.6)).astype(np.float32)


def raising(raw):
    """A driver that fell over."""
    raise RuntimeError("the device was lost")
