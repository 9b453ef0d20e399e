"""The language of rules: comparisons of metrics, joined by and, or, not. Pure.

::

    psi.score > 0.2 for 3 windows
    camera_up < 1 for 30 s
    skipped_share > 0.5 and (luminance < 0.1 or contrast < 0.02) for 1 min
    psi.score > budget

    rule       = condition ["for" NUMBER ("window" | "windows" | "s" | "min" | "h")]
    condition  = both {"or" both}
    both       = one {"and" one}
    one        = "not" one | "(" condition ")" | side OPERATOR side
    side       = NUMBER | METRIC | "budget"

A dot in a metric's name is an underscore. ``budget`` is what drift allows the metric on the other
side: ``psi_limit_score`` for ``psi_score``. A reading that is absent makes its comparison neither
true nor false (None), and what follows from it as Kleene's logic says: ``false and None`` is false.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Union

Readings = Mapping[str, Union[float, int]]  # noqa: UP007 - evaluated by Python 3.10 at import
Side = Union[float, str]  # noqa: UP007
OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}
BUDGET = "budget"
WINDOWS_MOST = 100_000
_WORDS = ("and", "or", "not", "for")
_DEEP = 20
_TOKEN = re.compile(
    r"\s*(?:(?P<number>-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![A-Za-z_]))"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_.]*)|(?P<sign><=|>=|==|!=|[<>()]))"
)


@dataclass(frozen=True)
class Compare:
    """One comparison; a side is a number or a metric's name."""

    left: Side
    sign: str
    right: Side


@dataclass(frozen=True)
class Not:
    """The opposite."""

    inner: Condition


@dataclass(frozen=True)
class Join:
    """Several conditions, ``word`` is ``and`` or ``or``."""

    word: str
    parts: tuple[Condition, ...]


Condition = Union[Compare, Not, Join]  # noqa: UP007


@dataclass(frozen=True)
class When:
    """A condition that must have held for so long.

    Attributes:
        condition: what is looked at in each window.
        windows: so many windows in a row, at least 1.
        seconds: so long since the first of them, 0 for at once.
        text: as it was written.
    """

    condition: Condition
    windows: int = 1
    seconds: float = 0.0
    text: str = ""


def parse(text: str) -> When:
    """Read a rule.

    Raises:
        ValueError: saying what was expected where.
    """
    return _Parser(text).rule()


def names(condition: Condition) -> tuple[str, ...]:
    """The metrics that it looks at, each once, in order."""
    if isinstance(condition, Compare):
        found = [side for side in (condition.left, condition.right) if isinstance(side, str)]
    elif isinstance(condition, Not):
        found = list(names(condition.inner))
    else:
        found = [name for part in condition.parts for name in names(part)]
    return tuple(dict.fromkeys(found))


def evaluate(condition: Condition, readings: Readings) -> bool | None:
    """Whether it holds; None when the readings that are there cannot tell."""
    if isinstance(condition, Compare):
        left, right = _value(condition.left, readings), _value(condition.right, readings)
        if left is None or right is None:
            return None
        return OPERATORS[condition.sign](left, right)
    if isinstance(condition, Not):
        inner = evaluate(condition.inner, readings)
        return None if inner is None else not inner
    results = [evaluate(part, readings) for part in condition.parts]
    decisive = condition.word == "or"
    if decisive in results:
        return decisive
    return None if None in results else not decisive


def _value(side: Side, readings: Readings) -> float | None:
    return readings.get(side) if isinstance(side, str) else side


class _Parser:
    """Recursive descent over the tokens of one rule."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._at = 0
        self._depth = 0

    def rule(self) -> When:
        condition = self._condition()
        windows, seconds = self._duration() if self._took("for") else (1, 0.0)
        if self._peek():
            raise ValueError(f'"{self._peek()}" is not expected after {self._before()}')
        return When(condition, windows, seconds, self._text.strip())

    def _condition(self) -> Condition:
        return self._joined("or", self._both)

    def _both(self) -> Condition:
        return self._joined("and", self._one)

    def _joined(self, word: str, part: Callable[[], Condition]) -> Condition:
        parts = [part()]
        while self._took(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Join(word, tuple(parts))

    def _one(self) -> Condition:
        self._depth += 1
        if self._depth > _DEEP:
            raise ValueError(f"more than {_DEEP} conditions inside each other")
        try:
            return self._inner()
        finally:
            self._depth -= 1

    def _inner(self) -> Condition:
        if self._took("not"):
            return Not(self._one())
        if not self._took("("):
            return self._compare()
        condition = self._condition()
        if not self._took(")"):
            raise ValueError(f'")" is missing after {self._before()}')
        return condition

    def _compare(self) -> Compare:
        left = self._side()
        sign = self._next(f"one of {' '.join(OPERATORS)}")
        if sign not in OPERATORS:
            raise ValueError(f'"{sign}" should be one of {" ".join(OPERATORS)}')
        right = self._side()
        if isinstance(left, float) and isinstance(right, float):
            raise ValueError(f"{left:g} {sign} {right:g} looks at no metric")
        if BUDGET in (left, right):
            return Compare(_budget(left, right), sign, _budget(right, left))
        return Compare(left, sign, right)

    def _side(self) -> Side:
        token = self._next("a metric or a number")
        if token[0].isdigit() or token[0] in "-.":
            return float(token)
        if token in _WORDS or not (token[0].isalpha() or token[0] == "_"):
            raise ValueError(f'"{token}" should be a metric or a number')
        return token.replace(".", "_")

    def _duration(self) -> tuple[int, float]:
        number, unit = self._next("a number"), self._next("windows, s, min or h")
        known = (*UNITS, "window", "windows")
        if not number[0].isdigit() or unit not in known:
            raise ValueError(f'"for {number} {unit}" should be like "for 3 windows" or "for 30 s"')
        if unit in UNITS:
            return 1, float(number) * UNITS[unit]
        if not number.isdigit() or not 1 <= int(number) <= WINDOWS_MOST:
            raise ValueError(f'"for {number} {unit}" should be a whole number of windows')
        return int(number), 0.0

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _took(self, word: str) -> bool:
        taken = self._peek() == word
        self._at += taken
        return taken

    def _next(self, wanted: str) -> str:
        token = self._peek()
        if not token:
            raise ValueError(f"{wanted} is missing after {self._before()}")
        self._at += 1
        return token

    def _before(self) -> str:
        return f'"{self._tokens[self._at - 1]}"' if self._at else "the beginning"


def _budget(side: Side, other: Side) -> Side:
    if side != BUDGET:
        return side
    if not isinstance(other, str) or not other.startswith("psi_"):
        raise ValueError(f'"{BUDGET}" is known for psi.<feature> only, not for {other}')
    return other.replace("psi_", "psi_limit_", 1)


def _tokens(text: str) -> Sequence[str]:
    found, at, text = [], 0, text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            rest = text[at:].strip()
            raise ValueError(f'"{rest[:20]}" is not understood')
        found.append(match.group().strip())
        at = match.end()
    return found
