"""What a build is told, and the contracts that it puts into every bundle."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from builder.engines import EngineOptions
from edge_agent.bundle import PRECISIONS, DecodeSpec, InputSpec, Tolerance
from edge_agent.checked import nearest
from edge_agent.errors import UsageError

Prove = Literal["auto", "require", "never"]
Exporter = Literal["own", "ultralytics"]
Batch = Literal["1", "dynamic"]

DEFAULT_SIZE = 640
DECODE = DecodeSpec(confidence=0.25, iou=0.7, max_detections=300, floor=0.05)
TOLERANCES = {"fp32": Tolerance(iou=0.99, score=0.001)}


@dataclass(frozen=True)
class BuildOptions:
    """How to build.

    Attributes:
        size: (height, width) of the tensor in pixels; None takes the training's size.
        reference_data: folder of validation images, for golden set and profile.
        reference_image: picture of the good view, for the input check.
        name: of the model in the bundle; None takes the registry's.
        version: in the bundle; None takes the registry's.
        prove: compare with PyTorch: where it is installed, always, or never.
        exporter: what makes the graph: our writer, or ultralytics (any detector of that package).
        batch: images per run of the graph; devices that join cameras want ``dynamic``.
        allow_nonfinite: build a model whose weights hold NaN or Inf (for tests of devices).
        precisions: beside fp32, which is always there; ``auto`` keeps what passes.
        labels: folder of YOLO label files for the reference data.
        limits: TOML file with what a variant may lose; None takes the defaults.
        strict: fail when a precision that was named does not pass, or an engine cannot be built.
        saliency: measure what the model looks at; implied by ``previous``.
        previous: bundle of the version before, to compare that with.
        golden_frames: in the golden set; None takes what the classes need (`builder.golden`).
        engine: what to compile beside the bundle, None for nothing.
        embedding: whether the graphs also give what devices compare pictures by.
    """

    size: tuple[int, int] | None = None
    reference_data: Path | None = None
    reference_image: Path | None = None
    name: str | None = None
    version: int | None = None
    prove: Prove = "auto"
    allow_nonfinite: bool = False
    exporter: Exporter = "own"
    batch: Batch = "1"
    precisions: tuple[str, ...] = ()
    labels: Path | None = None
    limits: Path | None = None
    strict: bool = False
    saliency: bool = False
    previous: Path | None = None
    golden_frames: int | None = None
    engine: EngineOptions | None = None
    embedding: bool = False


def preprocessing(height: int, width: int) -> InputSpec:
    """The contract under which YOLOv5 models are deployed: what ultralytics' predict does."""
    return InputSpec(
        width=width,
        height=height,
        layout="NCHW",
        colour="RGB",
        scale=1 / 255,
        pad_value=114,
        interpolation="linear",
        scaleup=True,
        rounding="round-0.1",
    )


def parse_precisions(text: str) -> tuple[str, ...]:
    """Read ``fp32,fp16,int8`` or ``auto``; fp32 is always built.

    Raises:
        UsageError: naming what is not known.
    """
    names = [name.strip() for name in text.split(",")]
    known = (*PRECISIONS, "auto")
    if unknown := [name for name in names if name not in known]:
        hint = nearest(unknown[0], known)
        raise UsageError(f"--precision {unknown[0]!r}: there are {', '.join(known)}{hint}")
    return tuple(dict.fromkeys(name for name in names if name != "fp32"))


def parse_size(text: str) -> tuple[int, int]:
    """Read ``640`` or ``384x640`` (height x width) as (height, width).

    Raises:
        UsageError: when it is neither, or 0.
    """
    match = re.fullmatch(r"([1-9]\d{0,3})(?:x([1-9]\d{0,3}))?", text)
    if match is None:
        raise UsageError(f"--imgsz {text!r}: write one number, or height x width like 384x640")
    return int(match[1]), int(match[2] or match[1])
