"""Runtimes behind one protocol; a new one is a file with `load` and a line in `BACKENDS`."""

from __future__ import annotations

import importlib
from pathlib import Path

from edge_agent.backends.base import Backend, BackendOptions, Contract
from edge_agent.errors import ModelError

__all__ = ["BACKENDS", "Backend", "BackendOptions", "Contract", "load_backend"]

BACKENDS = {
    "onnx": "edge_agent.backends.onnx",
}


def load_backend(name: str, path: Path, contract: Contract, options: BackendOptions) -> Backend:
    """Load a model file with the backend of this name.

    Raises:
        ModelError: unknown backend, or the model cannot be loaded or is not what was promised.
    """
    if name not in BACKENDS:
        raise ModelError(f"no backend {name!r}; there are {', '.join(BACKENDS)}")
    backend: Backend = importlib.import_module(BACKENDS[name]).load(path, contract, options)
    return backend
