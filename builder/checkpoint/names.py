"""Class names: from a file of a stranger to terminals, topics and configuration keys."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from builder.checkpoint.refusal import DISTRUST, Refusal, shorten

MAX_CLASSES = 10_000
MAX_CHARACTERS = 1 << 18
"""Of all names together: 26 for each of 10,000 classes."""

RENAME = "give each class one printable name of its own in the model's `names`, and save it again"
_CONTROL = ("Cc", "Zl", "Zp")
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They make a terminal write backwards (Unicode Standard Annex 9)."""


def checked_names(values: Sequence[str | int]) -> tuple[str, ...]:
    """Return the names as text.

    Raises:
        Refusal: they are too long altogether, or one is empty, there twice, no text, or holds
            what a terminal would obey.
    """
    left = MAX_CHARACTERS
    for value in values:
        left -= len(value) if isinstance(value, str) else 20
        if left < 0:
            raise Refusal(f"has class names of more than {MAX_CHARACTERS} characters", DISTRUST)
    seen: dict[str, int] = {}
    for index, name in enumerate(map(str, values)):
        if fault := _fault(name):
            raise Refusal(f"has the name {shorten(repr(name))} for class {index}: {fault}", RENAME)
        first = seen.setdefault(name, index)
        if first != index:
            raise Refusal(f"has the name {shorten(name)} for classes {first} and {index}", RENAME)
    return tuple(seen)


def _fault(name: str) -> str | None:
    if not name.strip():
        return "it is empty"
    kinds = {unicodedata.category(character) for character in name}
    if "Cs" in kinds:
        return "it is no text (half of a surrogate pair)"
    if kinds.intersection(_CONTROL) or _TURNING.intersection(name):
        return "it has control characters"
    return None
