"""The device's false alarms per month, shared by its cameras. Pure.

Cameras give their verdicts at different times, so each has a level: how many false alarms per month
it may count on at its next verdict. A camera that cannot raise an alarm (it still learns, or its
alarm stands) needs none, and the others have its share: Holm's principle (Scandinavian Journal of
Statistics 6, 1979). Among those that can, Benjamini and Hochberg's procedure goes over what each
said last, so what changes at several cameras at once is found at the level of a single one
(families of hypotheses as in Benjamini and Bogomolov, J. R. Stat. Soc. B 76, 2014). While nothing
changes the levels add up to the knob.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MONTH_S = 30 * 86400.0
MOST_BUDGET = 0.01
"""Of one verdict, however long its block took."""


@dataclass(frozen=True)
class Seat:
    """One camera in the sharing.

    Attributes:
        chance: how often per month chance begins to look like its last verdict; None while there
            was none.
        raised: whether its alarm stands.
    """

    chance: float | None = None
    raised: bool = False


def levels(seats: Mapping[str, Seat], knob: float) -> dict[str, float]:
    """False alarms per month that each camera may count on.

    One whose alarm stands gets an even share: it says what belongs to the alarm and when it ends.

    Args:
        seats: camera -> its seat.
        knob: of the device.
    """
    judged = [one for one in seats.values() if one.chance is not None]
    able = sorted(one.chance for one in judged if one.chance is not None and not one.raised)
    rank = max(
        (rank for rank, chance in enumerate(able, 1) if chance <= knob * rank / len(able)),
        default=1,
    )
    even, shared = knob / max(1, len(judged)), knob * rank / max(1, len(able))
    return {name: even if one.raised else shared for name, one in seats.items()}


def budget_of(level: float, seconds: float) -> float:
    """What a verdict may use, per block, after so many seconds at a level per month."""
    return min(MOST_BUDGET, level * seconds / MONTH_S)
