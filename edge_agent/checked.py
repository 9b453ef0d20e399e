"""Strict reading of documents from outside: every fault is listed, then it fails once.

Manifests, configurations, rollout documents and commands arrive as plain dictionaries (JSON, TOML).
A `Fields` hands out values of the wanted type and notes each fault with its place; the caller
raises once, with all of them. A getter that noted a fault returns a harmless value of the right
type, so the reading can go on.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

_MISSING: Any = object()
_LARGEST = 2**63 - 1


class Fields:
    """One table of a document, read field by field.

    Args:
        document: the parsed table; anything but a dictionary is itself a fault.
        where: what to call this table in a message, e.g. ``input`` or ``variants[0]``.
        faults: the list that all tables of one document share.
    """

    def __init__(self, document: object, where: str = "", faults: list[str] | None = None) -> None:
        self.faults: list[str] = [] if faults is None else faults
        self.where = where
        self._asked: set[str] = set()
        self._values: Mapping[str, Any] = {}
        if isinstance(document, dict):
            self._values = document
        else:
            self.fault("", f"should be a table, is {_kind(document)}")

    def fault(self, name: str, sentence: str) -> None:
        """Note a fault at the field ``name`` (empty: at this table)."""
        place = ".".join(part for part in (self.where, name) if part)
        self.faults.append(f"{place or 'document'}: {sentence}")

    def has(self, name: str) -> bool:
        """Whether the field is present (and not null)."""
        self._asked.add(name)
        return self._values.get(name) is not None

    def _take(self, name: str, default: Any, types: tuple[type, ...], kind: str) -> Any:
        self._asked.add(name)
        value = self._values.get(name, _MISSING)
        if value is _MISSING or value is None:
            if default is _MISSING:
                self.fault(name, f"is missing; it should be {kind}")
            return _MISSING if default is _MISSING else default
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            self.fault(name, f"should be {kind}, is {_kind(value)} {_short(value)}")
            return _MISSING if default is _MISSING else default
        return value

    def text(
        self,
        name: str,
        default: Any = _MISSING,
        *,
        pattern: str | None = None,
        choices: Iterable[str] = (),
        most: int = 4096,
    ) -> str:
        """A string; ``pattern`` must match the whole of it, ``choices`` close the set."""
        value = self._take(name, default, (str,), "a text")
        if value is _MISSING or value is default:
            text: str = "" if value is _MISSING else default
            return text
        if len(value) > most:
            self.fault(name, f"has {len(value)} characters, at most {most} are allowed")
        elif pattern is not None and not re.fullmatch(pattern, value):
            self.fault(name, f"{_short(value)} does not have the form {pattern}")
        allowed = tuple(choices)
        if allowed and value not in allowed:
            self.fault(
                name,
                f"{_short(value)} is not one of {', '.join(allowed)}" + nearest(value, allowed),
            )
        return str(value)

    def integer(
        self,
        name: str,
        default: Any = _MISSING,
        *,
        least: int | None = None,
        most: int | None = None,
    ) -> int:
        """A whole number inside [least, most], and of 64 bits, as databases hold them."""
        value = self._take(name, default, (int,), "a whole number")
        if value is _MISSING:
            return least or 0
        least, most = (-_LARGEST if least is None else least), (_LARGEST if most is None else most)
        self._check_range(name, value, least, most)
        whole: int = value
        return whole

    def number(
        self,
        name: str,
        default: Any = _MISSING,
        *,
        least: float | None = None,
        most: float | None = None,
    ) -> float:
        """A finite number inside [least, most]."""
        value = self._take(name, default, (int, float), "a number")
        if value is _MISSING:
            return least or 0.0
        if value is default and not isinstance(value, (int, float)):
            nothing: float = value
            return nothing
        if not _is_number(value):
            self.fault(name, f"{_short(value)} is not a finite number")
            return least or 0.0
        self._check_range(name, value, least, most)
        return float(value)

    def _check_range(self, name: str, value: Any, least: Any, most: Any) -> None:
        if value is None:
            return
        if least is not None and value < least:
            self.fault(name, f"{_short(value)} is below the least allowed, {least}")
        if most is not None and value > most:
            self.fault(name, f"{_short(value)} is above the most allowed, {most}")

    def boolean(self, name: str, default: Any = _MISSING) -> bool:
        """A truth value."""
        value = self._take(name, default, (bool,), "true or false")
        return False if value is _MISSING else value

    def texts(self, name: str, default: Any = _MISSING, *, least: int = 0) -> tuple[str, ...]:
        """A list of strings."""
        value = self._take(name, default, (list, tuple), "a list of texts")
        if value is _MISSING:
            return ()
        if not all(isinstance(item, str) for item in value):
            self.fault(name, "should hold texts only")
            return ()
        if len(value) < least:
            self.fault(name, f"has {len(value)} entries, at least {least} are needed")
        return tuple(value)

    def numbers(self, name: str, default: Any = _MISSING) -> tuple[float, ...]:
        """A list of finite numbers."""
        value = self._take(name, default, (list, tuple), "a list of numbers")
        if value is _MISSING:
            return ()
        if not all(_is_number(item) for item in value):
            self.fault(name, "should hold finite numbers only")
            return ()
        return tuple(float(item) for item in value)

    def number_lists(self, name: str) -> tuple[tuple[float, ...], ...]:
        """A list of lists of finite numbers, of any length each."""
        value = self._take(name, _MISSING, (list, tuple), "a list of lists of numbers")
        if value is _MISSING:
            return ()
        for row in value:
            if not (isinstance(row, (list, tuple)) and all(_is_number(item) for item in row)):
                self.fault(name, f"{_short(row)} should be a list of finite numbers")
                return ()
        return tuple(tuple(float(item) for item in row) for row in value)

    def rows(self, name: str, *, width: int) -> tuple[tuple[float, ...], ...]:
        """A list of lists of ``width`` finite numbers each."""
        value = self._take(name, _MISSING, (list, tuple), "a list of lists of numbers")
        if value is _MISSING:
            return ()
        for row in value:
            if not (isinstance(row, (list, tuple)) and len(row) == width):
                self.fault(name, f"should hold lists of {width} numbers, has {_short(row)}")
                return ()
            if not all(_is_number(item) for item in row):
                self.fault(name, f"{_short(row)} should hold finite numbers only")
                return ()
        return tuple(tuple(float(item) for item in row) for row in value)

    def table(self, name: str, *, optional: bool = False) -> Fields:
        """A nested table; an absent optional one reads as empty."""
        value = self._take(name, {} if optional else _MISSING, (dict,), "a table")
        return Fields({} if value is _MISSING else value, self._inner(name), self.faults)

    def tables(self, name: str, *, least: int = 0) -> list[Fields]:
        """A list of nested tables."""
        value = self._take(name, _MISSING if least else [], (list, tuple), "a list of tables")
        items = [] if value is _MISSING else value
        if value is not _MISSING and len(items) < least:
            self.fault(name, f"has {len(items)} entries, at least {least} are needed")
        return [
            Fields(item, f"{self._inner(name)}[{index}]", self.faults)
            for index, item in enumerate(items)
        ]

    def mapping(self, name: str) -> dict[str, Any]:
        """A free table whose keys the reader does not know; empty when absent."""
        value = self._take(name, {}, (dict,), "a table")
        return dict(value)

    def names(self) -> tuple[str, ...]:
        """The names that this table really has."""
        return tuple(self._values)

    def close(self) -> None:
        """Fault every field that nobody asked for, with the nearest known name."""
        for name in self._values:
            if name not in self._asked:
                self.fault(name, "is not a known key" + nearest(name, self._asked))

    def _inner(self, name: str) -> str:
        return f"{self.where}.{name}" if self.where else name


def plural(count: int, noun: str) -> str:
    """``1 frame``, ``2 frames``: a count as people say it."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def nearest(value: str, known: Iterable[str]) -> str:
    """A hint ``; did you mean "x"?``, or nothing when no known name is close."""
    close = difflib.get_close_matches(value, list(known), n=1, cutoff=0.5)
    return f'; did you mean "{close[0]}"?' if close else ""


def canonical_json(document: object) -> bytes:
    """The one way this project writes a document: sorted keys, two spaces, a final newline."""
    text = json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"


def _is_number(value: object) -> bool:
    """Whether it is a number that a float can hold; JSON's integers have no end."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _kind(value: object) -> str:
    names = {dict: "a table", list: "a list", str: "a text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _short(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
