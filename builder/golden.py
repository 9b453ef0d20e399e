"""Which frames make a golden set that matters: a rule over sightings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from builder.cover import cover
from builder.survey import Sighting

LEAST = 12
MOST = 32
"""Without ``--golden-frames`` there are `LEAST`, and up to `MOST` where the classes need them: a
device infers each one at every installation and every hour, and loads it with the bundle."""

_SURE = 2 / 3
"""A picture shows a class when its score there is at least this share of the best one anywhere: a
detection that barely is one may go missing within a device's tolerance, and then proves nothing."""

_ROOM = 3
"""One place in so many is kept for what no class asks for: a crowded and an empty frame, and
`_NEAR` of those near the threshold."""

_NEAR = 2
_NEAR_SCORE = 0.1


@dataclass(frozen=True)
class Choice:
    """A chosen frame and what it is there for."""

    name: str
    why: str


def choose_frames(
    sightings: Sequence[Sighting], classes: Sequence[str], wanted: int | None = None
) -> list[Choice]:
    """Choose frames: crowded, empty, every class, near the threshold, then spread.

    The classes are a set cover (`builder.cover`), in which the crowded frame counts. Frames whose
    detections hang by a hair (`Sighting.steady`) are taken only when there are no others. Ties go
    to the earlier frame, so the choice is the same every time.

    Args:
        sightings: in the order of the pictures.
        classes: names by class id.
        wanted: so many frames, where there are as many pictures; None takes `LEAST`, and up to
            `MOST` where that many are needed to show every class.

    Returns:
        In the order of the pictures.
    """
    least, most = (wanted, wanted) if wanted else (LEAST, MOST)
    picks = _Picks([one for one in sightings if one.steady] or list(sightings), classes)
    room = most // _ROOM
    if room >= 1:
        picks.best("crowded", lambda one: one.reported if one.reported > 1 else None)
    if room >= 2:
        picks.best("empty", lambda one: None if one.reported else -one.top)
    kept = min(_NEAR, max(0, room - 2))
    picks.show_classes(most - len(picks.why) - kept)
    for _ in range(kept):
        picks.best(
            "near the threshold", lambda one: -one.nearest if one.nearest < _NEAR_SCORE else None
        )
    picks.show_classes(most - len(picks.why))
    picks.spread(least - len(picks.why))
    return [Choice(one.name, picks.why[one.name]) for one in sightings if one.name in picks.why]


class _Picks:
    """Frames that are chosen step by step out of a pool.

    Attributes:
        why: the chosen ones' names with what each is there for.
    """

    def __init__(self, pool: Sequence[Sighting], classes: Sequence[str]) -> None:
        self._pool, self._classes, self._shows = pool, classes, _shows(pool)
        self.why: dict[str, str] = {}

    def best(self, why: str, rank: Callable[[Sighting], float | None]) -> None:
        """Add the frame that ranks highest; a rank of None keeps a frame out."""
        ranks = [(value, one.name) for one in self._left() if (value := rank(one)) is not None]
        if ranks:
            self.why[max(ranks, key=lambda pair: pair[0])[1]] = why

    def show_classes(self, places: int) -> None:
        """Add what shows classes that no chosen frame shows, as far as the places go."""
        seen = {kind for name in self.why for kind in self._shows[name]}
        for name, kinds in cover(self._shows, seen, most=places).items():
            self.why[name] = _words(self._classes[kind] for kind in kinds)

    def spread(self, places: int) -> None:
        """Add others at even distances in the order of the pictures."""
        rest = self._left()
        count = min(max(0, places), len(rest))
        for index in range(count):
            self.why[rest[index * len(rest) // count].name] = "spread over the images"

    def _left(self) -> list[Sighting]:
        return [one for one in self._pool if one.name not in self.why]


def _shows(pool: Sequence[Sighting]) -> dict[str, dict[int, float]]:
    """Picture's name -> the classes that it shows well, with score over best score anywhere."""
    best: dict[int, float] = {}
    for one in pool:
        for kind, score in one.classes.items():
            best[kind] = max(score, best.get(kind, 0.0))
    shares = {one.name: {k: s / best[k] for k, s in one.classes.items()} for one in pool}
    return {name: {k: s for k, s in kinds.items() if s >= _SURE} for name, kinds in shares.items()}


def _words(names: Iterable[str]) -> str:
    listed = list(names)
    return f"{'class' if len(listed) == 1 else 'classes'} {', '.join(listed)}"


@dataclass(frozen=True)
class Gaps:
    """The classes that the golden set cannot prove, by what keeps them out.

    Attributes:
        unseen: on none of the pictures.
        shaky: only on pictures whose detections hang by a hair.
        left: on pictures that were not taken, for want of places or because of ties.
    """

    unseen: list[str]
    shaky: list[str]
    left: list[str]


def gaps(sightings: Sequence[Sighting], classes: Sequence[str], chosen: Iterable[str]) -> Gaps:
    """The classes that no chosen picture reports.

    Args:
        sightings: of all pictures.
        classes: names by class id.
        chosen: names of the golden frames.
    """
    by_name = {one.name: one for one in sightings}
    anywhere = {kind for one in sightings for kind in one.classes}
    steady = {kind for one in sightings if one.steady for kind in one.classes}
    shown = {kind for name in chosen for kind in by_name[name].classes}
    missing = [kind for kind in range(len(classes)) if kind not in shown]
    return Gaps(
        unseen=[classes[kind] for kind in missing if kind not in anywhere],
        shaky=[classes[kind] for kind in missing if kind in anywhere - steady],
        left=[classes[kind] for kind in missing if kind in steady],
    )
