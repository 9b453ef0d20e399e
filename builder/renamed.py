"""Classes that differ from the version before: consumers of a model depend on them."""

from __future__ import annotations

from collections.abc import Sequence

from edge_agent.bundle import Manifest


def class_warning(before: Manifest, after: Manifest) -> str:
    """One line on what became of the classes since ``before``; "" when they are the same."""
    change = class_changes(before.classes, after.classes)
    return f"classes differ from version {before.version}: {change}" if change else ""


def class_changes(before: Sequence[str], after: Sequence[str]) -> str:
    """How a list of classes changed, in words; "" when it did not.

    Numbers are what programs often use, so a class that only moved counts.
    """
    gone = [name for name in before if name not in after]
    new = [name for name in after if name not in before]
    moved = [
        f"{name} ({before.index(name)} is now {after.index(name)})"
        for name in after
        if name in before and before.index(name) != after.index(name)
    ]
    parts = (("without", gone), ("new", new), ("renumbered", moved))
    return "; ".join(f"{what} {_listed(names)}" for what, names in parts if names)


def _listed(names: Sequence[str], most: int = 12) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
