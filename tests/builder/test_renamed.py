"""What is said of classes that differ from the version before."""

from __future__ import annotations

from builder.renamed import class_changes


def test_each_kind_of_change_is_named():
    """A class that only moved counts: programs use numbers."""
    assert class_changes(["a", "b"], ["a", "b"]) == ""
    assert class_changes(["a", "b"], ["b", "c"]) == "without a; new c; renumbered b (1 is now 0)"


def test_hundreds_of_classes_stay_one_short_line():
    """The first twelve, and how many more there are."""
    change = class_changes(["a"], ["a", *(f"c{number}" for number in range(79))])
    assert change.startswith("new c0, c1, ") and change.endswith("c11 and 67 more")
