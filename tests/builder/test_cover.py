"""A greedy set cover, a pure rule."""

from __future__ import annotations

from builder.cover import cover


def test_most_of_what_is_missing_comes_first():
    """And what is covered counts no more."""
    members = {"a": {0: 0.9}, "b": {0: 0.7, 1: 0.8, 2: 0.9}, "c": {3: 0.5}, "d": {2: 0.9, 3: 0.4}}
    assert cover(members, most=9) == {"b": [0, 1, 2], "c": [3]}
    assert cover(members, {0, 1, 2}, most=9) == {"c": [3]}
    assert cover(members, {0, 1}, most=9) == {"d": [2, 3]}
    assert cover(members, most=1) == {"b": [0, 1, 2]}
    assert cover(members, most=0) == cover({}, most=9) == cover({"a": {}}, most=9) == {}


def test_ties():
    """The better one, then the earlier one."""
    members = {"a": {0: 0.5}, "b": {0: 0.6}, "c": {0: 0.6}}
    assert list(cover(members, most=9)) == ["b"]
    assert list(cover({"c": {0: 0.6}, **members}, most=9)) == ["c"]


def test_everything_is_covered_where_there_is_room():
    """Never more members than things; each chosen one shows something new."""
    members = {number: {number * step % 80: 0.9 for step in (1, 3, 7)} for number in range(200)}
    chosen = cover(members, most=80)
    shown = [kind for kinds in chosen.values() for kind in kinds]
    assert sorted(shown) == list(range(80)) and all(chosen.values())
    assert len(chosen) < 45  # 27 is the least that three each could do
