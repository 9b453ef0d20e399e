"""Golden frames on which equal scores decide."""

from __future__ import annotations

from collections.abc import Sequence

from builder.golden import Choice
from builder.options import TOLERANCES
from builder.progress import Progress
from builder.runner import Runner, Shot
from edge_agent.detection.golden import compare


def without_ties(
    runner: Runner, choices: Sequence[Choice], shots: Sequence[Shot], tell: Progress
) -> tuple[list[Choice], list[Shot]]:
    """Leave out frames on which a tie alone decides: correct devices would differ there, too.

    PyTorch and the graph give the same numbers to six digits, but scores that are equal to seven
    swap their order, and NMS then keeps another box.

    Args:
        runner: of the graph.
        choices: the golden frames.
        shots: the same ones, with PyTorch's raw outputs.
        tell: where to say how many are left out.

    Returns:
        What is kept of both; all where nothing would be left.
    """
    confidence = runner.manifest.decode.confidence
    kept = []
    for choice, shot in zip(choices, shots, strict=True):
        raws = shot.raw, runner.raw(shot.tensor)
        theirs, ours = (runner.detections(raw, shot.placement)[0] for raw in raws)
        if not compare(theirs, ours, TOLERANCES["fp32"], confidence):
            kept.append((choice, shot))
    if not kept:
        tell.warn("ties of scores decide on every golden frame; devices may refuse this")
        return list(choices), list(shots)
    if len(kept) < len(shots):
        tell.warn(f"{len(shots) - len(kept)} golden frames left out: ties of scores decide")
    return [choice for choice, _ in kept], [shot for _, shot in kept]
