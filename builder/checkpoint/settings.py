"""Settings inside a checkpoint (yaml, training arguments, metrics) as plain Python values."""

from __future__ import annotations

from collections.abc import Mapping

from builder.checkpoint.numpy_values import ArrayShell
from builder.checkpoint.refusal import DISTRUST, Refusal
from builder.checkpoint.values import Namespace, PathParts

MAX_DEPTH = 8
MAX_VALUES = 20_000
MAX_CHARACTERS = 1 << 20
"""Of all texts and keys together; a yolov5x6 with 10,000 classes has a third of it."""


class _Dropped:
    """What a value becomes that is no setting, such as a tensor."""


_DROPPED = _Dropped()


class Settings:
    """Copies values out of a checkpoint, bounded in depth, number and length.

    A pickle can hold one list ten times in a list that is held ten times, and so on, or one long
    text a thousand times: little that no copy would survive.
    """

    def __init__(self) -> None:
        self._left = MAX_VALUES
        self._characters = MAX_CHARACTERS

    def mapping(self, value: object) -> dict[str, object]:
        """Return `value`, a dictionary or namespace, with text keys; empty when it is neither.

        Raises:
            Refusal: it is deeper or larger than any settings are.
        """
        plain = self._plain(value, 0)
        return {str(key): one for key, one in plain.items()} if isinstance(plain, dict) else {}

    def _plain(self, value: object, depth: int) -> object:
        self._left -= 1
        if depth > MAX_DEPTH or self._left < 0:
            raise Refusal(
                f"has settings of more than {MAX_DEPTH} levels or {MAX_VALUES} values", DISTRUST
            )
        match value:
            case str():
                return self._text(value)
            case None | int() | float():
                return value
            case list() | tuple():
                return [one for one in (self._plain(v, depth + 1) for v in value) if _kept(one)]
            case Namespace(state=state):
                return self._plain(state, depth + 1)
            case Mapping():
                items = ((key, self._plain(one, depth + 1)) for key, one in value.items())
                return {self._key(key): one for key, one in items if _kept(one)}
            case PathParts():
                self._spend(value.length)
                return whole_text(str(value))
            case ArrayShell():
                return self._plain(value.tolist(), depth + 1)
        return _DROPPED

    def _key(self, key: object) -> object:
        return self._text(key) if isinstance(key, str) else key

    def _text(self, text: str) -> str:
        self._spend(len(text))
        return whole_text(text)

    def _spend(self, characters: int) -> None:
        self._characters -= characters
        if self._characters < 0:
            raise Refusal(f"has settings of more than {MAX_CHARACTERS} characters", DISTRUST)


def whole_text(text: str) -> str:
    """The text without halves of surrogate pairs, which a pickle can hold and UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode()


def _kept(value: object) -> bool:
    return not isinstance(value, _Dropped)
