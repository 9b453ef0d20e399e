"""How long each stage of a frame took in a window, and what that says as numbers to send."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from edge_agent.detection.detector import Result
from edge_agent.monitors.sketch import Sketch

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


class Stages:
    """One sketch per stage of the way of a frame; mergeable.

    Attributes:
        capture: from the picture's time of capture until the judge took it: transfer and waiting.
        gate: the input check.
        preprocess, infer, postprocess: letterbox, network, decoding.
        end_to_end: from the time of capture to the result, waiting between stages included.

    Times of capture are wall-clock times; a frame whose clock runs ahead of ours is left out of the
    two stages that hang on it.
    """

    __slots__ = ("capture", "end_to_end", "gate", "infer", "postprocess", "preprocess")

    def __init__(self) -> None:
        self.capture = Sketch()
        self.gate = Sketch()
        self.preprocess = Sketch()
        self.infer = Sketch()
        self.postprocess = Sketch()
        self.end_to_end = Sketch()

    def add(self, result: Result) -> None:
        """Count the stages that every judged frame goes through."""
        self.preprocess.add(result.preprocess_ms)
        self.infer.add(result.infer_ms)
        self.postprocess.add(result.postprocess_ms)

    def items(self) -> Iterator[tuple[str, Sketch]]:
        """Name and sketch of each stage, in the order of the way."""
        for name in ("capture", "gate", "preprocess", "infer", "postprocess", "end_to_end"):
            yield name, getattr(self, name)


@dataclass
class Speed:
    """How fast the device was since it told the last time, all releases together.

    Attributes:
        inferred: frames.
        latency: preprocess + inference + postprocess of each frame.
        end_to_end: as in `Stages`.
    """

    inferred: int = 0
    latency: Sketch = field(default_factory=Sketch)
    end_to_end: Sketch = field(default_factory=Sketch)


def quantiles(name: str, sketch: Sketch) -> dict[str, float | int | None]:
    """``<name>_p50_ms``, ``_p95_ms`` and ``_p99_ms``; empty when nothing was timed."""
    if not sketch.count:
        return {}
    return {f"{name}_{label}_ms": sketch.quantile(q) for label, q in QUANTILES.items()}


def stage_values(stages: Stages) -> dict[str, float | int | None]:
    """Mean (``<stage>_ms``) and quantiles of each stage that was timed."""
    values: dict[str, float | int | None] = {}
    for name, sketch in stages.items():
        if sketch.count:
            values |= {f"{name}_ms": sketch.mean_ms, **quantiles(name, sketch)}
    return values
