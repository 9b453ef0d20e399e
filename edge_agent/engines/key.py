"""When an engine is the right one: everything that it depends on, and a hash of that."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from edge_agent.checked import canonical_json

if TYPE_CHECKING:
    from edge_agent.engines.compile import Request
    from edge_agent.engines.modules import Gpu

ANY = "any"


@dataclass(frozen=True)
class EngineKey:
    """What an engine was made of and for.

    Attributes:
        onnx_sha256: of the variant's file.
        module: ``tensorrt`` or ``trt-rtx``.
        version: of that module, in full: newer engines never run on older, nor older on newer.
        capability: compute capability of the GPU, like ``8.6``.
        gpu: its name; ``any`` when the engine was made ahead of time.
        driver: driver or L4T release; ``any`` likewise.
        precision: of the variant.
        shapes: least, usual and largest input, (batch, 3, height, width).
        flags: what else the build was told, sorted.
    """

    onnx_sha256: str
    module: str
    version: str
    capability: str
    gpu: str
    driver: str
    precision: str
    shapes: tuple[tuple[int, ...], ...]
    flags: tuple[str, ...]

    @property
    def digest(self) -> str:
        """32 hex digits; the name of the engine's folder."""
        return hashlib.sha256(canonical_json(asdict(self))).hexdigest()[:32]


def engine_key(
    kind: str, version: str, gpu: Gpu | None, onnx_sha256: str, request: Request
) -> EngineKey:
    """The key of an engine of this request.

    Args:
        kind: ``tensorrt`` or ``trt-rtx``.
        version: of that module, in full.
        gpu: of this machine; not looked at when the request names a capability.
        onnx_sha256: of the variant's file.
        request: what is built.
    """
    if request.capability or gpu is None:
        capability, name, driver = request.capability, ANY, ANY
    else:
        capability, name, driver = gpu.capability, gpu.name, gpu.driver
    return EngineKey(
        onnx_sha256, kind, version, capability, name, driver, request.precision, request.shapes,
        request.flags,
    )  # fmt: skip
