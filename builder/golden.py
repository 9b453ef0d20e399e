"""Which frames make a golden set that matters: a rule over sightings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from builder.survey import Sighting


@dataclass(frozen=True)
class Choice:
    """A chosen frame and what it is there for."""

    name: str
    why: str


def choose_frames(sightings: Sequence[Sighting], classes: Sequence[str], most: int) -> list[Choice]:
    """Choose up to ``most`` frames: every class, empty, crowded, near the threshold, then spread.

    Frames whose detections hang by a hair (`Sighting.steady`) are taken only when there are no
    others. Ties go to the earlier frame, so the choice is the same every time.

    Args:
        sightings: in the order of the pictures.
        classes: names by class id.
        most: frames wanted.
    """
    steady = [sighting for sighting in sightings if sighting.steady]
    pool = steady or list(sightings)
    chosen: dict[str, str] = {}

    def take(why: str, rank: Callable[[Sighting], float | None]) -> None:
        """Add the frame that ranks highest; a rank of None keeps a frame out."""
        ranks = [(value, one.name) for one in pool if (value := rank(one)) is not None]
        ranks = [(value, name) for value, name in ranks if name not in chosen]
        if ranks and len(chosen) < most:
            chosen[max(ranks, key=lambda pair: pair[0])[1]] = why

    take("empty", lambda one: None if one.reported else -one.top)
    take("crowded", lambda one: one.reported if one.reported > 1 else None)
    for number, name in enumerate(classes):
        take(f"class {name}", partial(_score_of, number))
    for _ in range(2):
        take("near the threshold", lambda one: -one.nearest if one.nearest < 0.1 else None)
    rest = [one.name for one in pool if one.name not in chosen]
    wanted = min(most - len(chosen), len(rest))
    for index in range(wanted):
        chosen[rest[index * len(rest) // wanted]] = "spread over the images"
    order = [one.name for one in sightings]
    return [Choice(name, chosen[name]) for name in sorted(chosen, key=order.index)]


def _score_of(number: int, sighting: Sighting) -> float | None:
    return sighting.classes.get(number)


def unseen_classes(sightings: Sequence[Sighting], classes: Sequence[str]) -> list[str]:
    """The classes that the model reported on none of the pictures."""
    seen = {number for sighting in sightings for number in sighting.classes}
    return [name for number, name in enumerate(classes) if number not in seen]
