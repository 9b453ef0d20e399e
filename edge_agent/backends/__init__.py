"""Runtimes behind one protocol; a new one is a file with `load` and a line in `PROVIDERS`.

`load_backend` goes down the configured order and says which provider is active, and why it is not
the wanted one.
"""

from __future__ import annotations

import importlib

from edge_agent.backends.base import (
    Backend,
    BackendOptions,
    Contract,
    Host,
    ModelFile,
    Outputs,
    Unavailable,
)
from edge_agent.errors import ModelError

__all__ = [
    "PROVIDERS", "Backend", "BackendOptions", "Contract", "Host", "ModelFile", "Outputs",
    "load_backend",
]  # fmt: skip

PROVIDERS = {
    "tensorrt-native": "edge_agent.backends.tensorrt",
    "tensorrt-rtx": "edge_agent.backends.tensorrt",
    "tensorrt": "edge_agent.backends.onnx",
    "cuda": "edge_agent.backends.onnx",
    "cpu": "edge_agent.backends.onnx",
}
"""TensorRT itself, TensorRT-RTX itself, and ONNX Runtime's TensorRT, CUDA and CPU providers."""


def load_backend(
    file: ModelFile,
    contract: Contract,
    options: BackendOptions = BackendOptions(),  # noqa: B008 - frozen
    host: Host = Host(),  # noqa: B008 - frozen
) -> Backend:
    """Load a model on the first provider that can be had.

    Args:
        file: the variant.
        contract: what its graph must be.
        options: wanted order, and whether another than the first will do.
        host: where runtimes come from.

    Raises:
        ModelError: a name that is none; or no allowed provider can run the model, with the reasons.
    """
    order = _order(options)
    reasons: list[str] = []
    refused = False
    for name in order:
        try:
            backend: Backend = importlib.import_module(PROVIDERS[name]).load(
                name, file, contract, options, host
            )
        except ModelError as error:
            refused = options.fallback != "allow" and isinstance(error, Unavailable)
            reasons.append(f"{name}: {error}".replace(f"{file.path}: ", ""))
            continue
        backend.wanted_provider = order[0]
        backend.fallback_reason = "; ".join(reasons)
        return backend
    raise ModelError(_refusal(file, reasons, refused))


def _order(options: BackendOptions) -> tuple[str, ...]:
    known = ", ".join(PROVIDERS)
    if not options.providers:
        raise ModelError(f"no provider is named; name some of {known}")
    for name in options.providers:
        if name not in PROVIDERS:
            raise ModelError(f'provider "{name}" is not one of {known}')
    if options.fallback != "allow":
        return options.providers[:1]
    return tuple(dict.fromkeys((*options.providers, "cpu")))


def _refusal(file: ModelFile, reasons: list[str], refused: bool) -> str:
    """Why nothing runs it; the path once, however many runtimes named it."""
    text = f"{file.path}: {'; '.join(reasons).removeprefix('cpu: ')}"
    return f'{text}; or name other providers, or set fallback = "allow"' if refused else text
