"""What an inspector says of one frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_agent.checked import nearest
from edge_agent.errors import UsageError
from edge_agent.feedback.frames import Box, Detected, FrameKey, pick

RIGHT, WRONG, MISSED = "right", "wrong", "missed"
VERDICTS = (RIGHT, WRONG, MISSED)


@dataclass(frozen=True)
class Judgement:
    """One verdict; what is "" or None was not said.

    Attributes:
        verdict: ``right`` and ``wrong`` are about detections, ``missed`` about an object that the
            device did not report.
        name: of the class of the detections that are meant, or of the object that was missed.
        box: near which; without name and box, every detection of the frame is meant.
        actual: with ``wrong``: the class that it is in truth.
        by: who says so.
        at: wall-clock seconds.
    """

    frame: FrameKey
    verdict: str
    name: str = ""
    box: tuple[float, float, float, float] | None = None
    actual: str = ""
    by: str = ""
    at: float = 0.0

    def __post_init__(self) -> None:
        """Raises UsageError when the parts do not go together."""
        if self.verdict not in VERDICTS:
            hint = nearest(self.verdict, VERDICTS)
            raise UsageError(f'"{self.verdict}" is not one of {", ".join(VERDICTS)}{hint}')
        if self.verdict == MISSED and not self.name:
            raise UsageError('missed: say of which class the object is, with --class or "class"')
        if self.actual and self.verdict != WRONG:
            raise UsageError(f"{self.verdict}: what it is in truth (actual) goes with wrong only")
        if self.box is not None and not (self.box[0] < self.box[2] and self.box[1] < self.box[3]):
            raise UsageError(f"box {list(self.box)} should be x0, y0, x1, y1 with x0 < x1, y0 < y1")

    @property
    def near(self) -> Box | None:
        """The box, where there is one."""
        return None if self.box is None else Box(self.name, *self.box)

    def targets(self, boxes: Sequence[Box]) -> tuple[int, ...]:
        """Numbers of the detections that are meant; none for ``missed``."""
        if self.verdict == MISSED:
            return ()
        return pick(enumerate(boxes), name=self.name, near=self.near)


def check(judgement: Judgement, detected: Detected) -> None:
    """Whether a judgement can be about this frame.

    Raises:
        UsageError: a class that the release does not have, or no detection that could be meant.
    """
    for name in (judgement.name, judgement.actual):
        if name and name not in detected.classes:
            raise UsageError(
                f'"{name}" is not a class of {detected.model} {detected.version}'
                f" ({', '.join(detected.classes)}){nearest(name, detected.classes)}"
            )
    said = judgement.name or judgement.box is not None or judgement.verdict == WRONG
    if judgement.verdict != MISSED and said and not judgement.targets(detected.boxes):
        raise UsageError(
            f"{judgement.frame}: no detection is meant by that; the device reported"
            f" {detected.words()} there"
        )


def fits(judgement: Judgement, detected: Detected) -> bool:
    """Whether `check` has nothing against it."""
    try:
        check(judgement, detected)
    except UsageError:
        return False
    return True
