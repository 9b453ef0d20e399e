"""The parts of a manifest, as plain values; `edge_agent.bundle` reads and re-exports them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class InputSpec:
    """The preprocessing contract: (H, W, 3) BGR uint8 -> (1, 3, height, width) float32.

    Attributes:
        width, height: tensor size in pixels.
        scale: factor from 0..255 to the tensor's range.
        pad_value: grey level of the letterbox border, 0..255.
        interpolation: resize filter, one of `INTERPOLATIONS`.
        scaleup: whether images smaller than the tensor are enlarged.
        rounding: how an odd border is split; ``round-0.1`` is round(x - 0.1) / round(x + 0.1).
    """

    width: int
    height: int
    layout: str
    colour: str
    scale: float
    pad_value: int
    interpolation: str
    scaleup: bool
    rounding: str


@dataclass(frozen=True)
class DecodeSpec:
    """How raw output becomes detections.

    Attributes:
        confidence: score above which a detection is reported.
        iou: intersection over union above which NMS drops the lower score (per class).
        max_detections: per frame.
        floor: score down to which detections are kept for the monitors.
    """

    confidence: float
    iou: float
    max_detections: int
    floor: float


@dataclass(frozen=True)
class Tolerance:
    """How far a device may be from the golden detections: least IoU, largest score difference."""

    iou: float
    score: float


@dataclass(frozen=True)
class Variant:
    """One precision of the model: an ONNX file and how far it was from the reference.

    Attributes:
        profile: path of its own reference profile, None where the bundle's is the one.
        golden: path of its own expected detections, None where the golden set's are the ones: what
            an int8 graph says is compared with the original at the build, and on devices with
            what the same graph said there.
    """

    id: str
    precision: str
    path: str
    opset: int
    parity: Mapping[str, Any]
    profile: str | None = None
    golden: str | None = None


@dataclass(frozen=True)
class EmbeddingSpec:
    """The second output of every variant's graph: a picture in a few numbers.

    Attributes:
        output: its name.
        channels: numbers per picture; the output is (b, channels) float32.
        path: of what turns them into a few features (`edge_agent.monitors.embedding`).
    """

    output: str
    channels: int
    path: str


@dataclass(frozen=True)
class GoldenSpec:
    """Where the golden detections are, what made them, and how close a device must come.

    Attributes:
        reference: ``pytorch`` or ``fp32-graph``.
        synthetic: the frames are drawings, for there were no reference images: they prove that a
            device computes the same, and nothing about the scene.
    """

    path: str
    reference: str
    frames: int
    synthetic: bool
    tolerance: Mapping[str, Tolerance]


@dataclass(frozen=True)
class FileEntry:
    """One file of the bundle: path inside it, bytes, SHA-256 in hex."""

    path: str
    size: int
    sha256: str
