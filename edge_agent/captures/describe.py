"""From what the agent holds in memory to a record that outlives the frame and its release."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge_agent.captures.reasons import Why
from edge_agent.captures.record import Box, FrameId, GateScores, Record, Release
from edge_agent.metrics import numbers

if TYPE_CHECKING:
    from edge_agent.bundle import Manifest
    from edge_agent.captures.masks import Hidden
    from edge_agent.detection.decode import Floats, Limit
    from edge_agent.gate import Verdict
    from edge_agent.sources import Frame

_BOX_DECIMALS = 3
_SCORE_DECIMALS = 6


@dataclass(frozen=True, eq=False)
class Pick:
    """A frame that is to be kept, as the camera's thread hands it over: no work was done on it yet.

    Attributes:
        also: other reasons that applied.
        detections: a copy, down to the floor; None when there was no inference.
        limit: the score above which boxes are reported, of all classes or of each one's own.
        manifest, model, digest: of the release; the release itself may be gone when this is read.
        hidden: pixels to blacken, None for none.
        at: monotonic seconds.
    """

    frame: Frame
    why: Why
    also: tuple[str, ...]
    detections: Floats | None
    verdict: Verdict | None
    limit: Limit
    manifest: Manifest
    model: str
    digest: str
    hidden: Hidden | None
    at: float


def describe(pick: Pick, *, device: str, boot: str) -> Record:
    """What the sidecar says of it."""
    frame, manifest = pick.frame, pick.manifest
    height, width = frame.image.shape[:2]
    return Record(
        frame=FrameId(device, frame.camera, boot, frame.seq, round(frame.captured_at, 3)),
        release=Release(
            model=pick.model,
            version=manifest.version,
            digest=pick.digest,
            classes=manifest.classes,
            confidence=manifest.decode.confidence,
            thresholds=_thresholds(pick.limit, manifest),
            floor=manifest.decode.floor,
        ),
        reason=pick.why.reason,
        also=pick.also,
        text=pick.why.text,
        evidence=pick.why.evidence,
        width=width,
        height=height,
        masked=pick.hidden is not None,
        detections=None if pick.detections is None else _boxes(pick.detections),
        gate=None if pick.verdict is None else _gate(pick.verdict),
    )


def _thresholds(limit: Limit, manifest: Manifest) -> dict[str, float]:
    """Class name -> its own threshold, where it differs from the confidence."""
    if isinstance(limit, float):
        return {}
    own = (round(value, _SCORE_DECIMALS) for value in limit.tolist())
    return {
        name: value
        for name, value in zip(manifest.classes, own, strict=True)
        if value != manifest.decode.confidence
    }


def _boxes(detections: Floats) -> tuple[Box, ...]:
    """(n, 6) float32 rows as plain numbers, with no more digits than they are worth."""
    values = detections.astype(np.float64)
    sides = np.round(values[:, :4], _BOX_DECIMALS).tolist()
    scores = np.round(values[:, 4], _SCORE_DECIMALS).tolist()
    return tuple(
        (*box, score, int(number))
        for box, score, number in zip(sides, scores, values[:, 5], strict=True)
    )


def _gate(verdict: Verdict) -> GateScores:
    """Every number of a verdict, by name; ``check_<name>`` is how far out a check was."""
    checks = {f"check_{check.name}": check.score for check in verdict.checks}
    statistics = {} if verdict.statistics is None else asdict(verdict.statistics)
    scores = numbers({"ssim": verdict.ssim, **statistics, **checks})
    return GateScores(verdict.passed, verdict.text, {k: float(v) for k, v in scores.items()})
