"""When an engine is the right one: everything that it depends on, and a hash of that."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass

from edge_agent.checked import canonical_json

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
