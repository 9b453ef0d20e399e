"""From what the agent holds in memory to plain values that outlive the frame and its release."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from edge_agent.captures.record import Box, FrameId, GateScores, Release
from edge_agent.metrics import numbers

if TYPE_CHECKING:
    from edge_agent.detection.decode import Floats
    from edge_agent.gate import Verdict
    from edge_agent.loop.loaded import Loaded
    from edge_agent.sources import Frame

_BOX_DECIMALS = 3
_SCORE_DECIMALS = 6


def frame_id(frame: Frame, device: str, boot: str) -> FrameId:
    """Which frame it is, in the whole fleet."""
    return FrameId(device, frame.camera, boot, frame.seq, round(frame.captured_at, 3))


def release_of(loaded: Loaded) -> Release:
    """What must be known of a release when it is gone."""
    manifest = loaded.bundle.manifest
    return Release(
        model=loaded.model,
        version=manifest.version,
        digest=manifest.digest,
        classes=manifest.classes,
        confidence=manifest.decode.confidence,
        floor=manifest.decode.floor,
    )


def boxes(detections: Floats) -> tuple[Box, ...]:
    """(n, 6) float32 rows as plain numbers; the array may be used again for the next frame."""
    return tuple(
        (
            *(round(side, _BOX_DECIMALS) for side in row[:4]),
            round(row[4], _SCORE_DECIMALS),
            int(row[5]),
        )
        for row in detections.tolist()
    )


def gate_scores(verdict: Verdict) -> GateScores:
    """Every number of a verdict, by name."""
    checks = {check.name: check.value for check in getattr(verdict, "checks", ())}
    scores = numbers({"ssim": verdict.ssim, **asdict(verdict.statistics), **checks})
    return GateScores(verdict.passed, verdict.text, scores)
