"""What the gate says of one frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from edge_agent.gate.statistics import Statistics

_ORDER = {"schema": 0, "freeze": 1, "ssim": 3, "rate": 4}


class CheckScore(NamedTuple):
    """One check of one frame.

    Attributes:
        name: one of `edge_agent.config.gate.CHECKS`.
        score: how far from usual, as a share of what is allowed: 0 is usual, 1 is at the limit.
        failed: whether the check failed; once failed, the score must come down a little below 1.
        action: what that means, ``skip``, ``flag`` or ``pass``.
        text: one sentence when it failed, else "".
    """

    name: str
    score: float
    failed: bool
    action: str
    text: str


@dataclass(frozen=True)
class Verdict:
    """What the gate says of one picture.

    Attributes:
        passed: whether the picture is fit to be judged: nothing failed whose action is ``skip`` or
            ``flag``.
        ssim: against the reference, of the still part and after alignment where the camera was
            calibrated; None without a reference.
        statistics: of the reduced grey picture; None when the frame is not a picture at all.
        text: one sentence.
        checks: the checks that were made, in the order of `CHECKS`.
        reference: name of the reference that fits best; "" when it is the bundle's.
    """

    passed: bool
    ssim: float | None
    statistics: Statistics | None
    text: str
    checks: tuple[CheckScore, ...] = ()
    reference: str = ""

    @property
    def failed(self) -> tuple[CheckScore, ...]:
        """The checks that failed and matter, the one to name first (see `telling`)."""
        return telling(self.checks)

    @property
    def skip(self) -> bool:
        """Whether the picture should be kept from the model."""
        return any(check.failed and check.action == "skip" for check in self.checks)


def telling(checks: tuple[CheckScore, ...]) -> tuple[CheckScore, ...]:
    """The checks that failed and matter, the most telling first.

    What is no picture or does not live goes before all; then what is furthest out; that a picture
    is unlike the reference says least of why.
    """
    failed = [check for check in checks if check.failed and check.action != "pass"]
    return tuple(sorted(failed, key=lambda check: (_ORDER.get(check.name, 2), -check.score)))
