"""Greedy set cover: few members that together show everything.

V. Chvatal, "A greedy heuristic for the set-covering problem", 1979, doi:10.1287/moor.4.3.233: never
more than 1 + 1/2 + … + 1/n times the least possible number, n being the most that one member shows.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from typing import TypeVar

Name = TypeVar("Name", bound=Hashable)


def cover(
    members: Mapping[Name, Mapping[int, float]], shown: Collection[int] = (), *, most: int
) -> dict[Name, list[int]]:
    """Choose members until everything is shown that any of them shows.

    The member that shows most of what is missing comes first; among those with the same number the
    one that shows it best, then the earlier one, so that the choice is the same every time.

    Args:
        members: name -> what it shows, each with how well.
        shown: what needs no member any more.
        most: members at most.

    Returns:
        The names, first choice first, each with what it is the first to show, sorted.
    """
    done = set(shown)
    chosen: dict[Name, list[int]] = {}
    rest = dict(members)
    while len(chosen) < most:
        rest = {name: new for name, kinds in rest.items() if (new := _without(kinds, done))}
        if not rest:
            break
        best = max(rest, key=lambda name: (len(rest[name]), sum(rest[name].values())))
        chosen[best] = sorted(rest[best])
        done |= rest[best].keys()
    return chosen


def _without(kinds: Mapping[int, float], done: Collection[int]) -> dict[int, float]:
    return {kind: value for kind, value in kinds.items() if kind not in done}
