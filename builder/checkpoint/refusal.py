"""The reason why a file is not read, before the file's name is known to it."""

from __future__ import annotations

WRONG_FILE = "give the .pt file that YOLOv5 training wrote, for example weights/best.pt"
COPY_AGAIN = "copy it again from where it was made and compare the SHA-256"
DISTRUST = "do not open this file with PyTorch, which would run it; ask who made it"
SAVE_AGAIN = "save the checkpoint again with a current release of the training code"


class Refusal(Exception):
    """A checkpoint is refused.

    Attributes:
        reason: what was found, as the rest of a sentence that starts with the file.
        advice: what the reader of the message can do next.
    """

    def __init__(self, reason: str, advice: str = SAVE_AGAIN) -> None:
        super().__init__(f"{reason}; {advice}")
        self.reason = reason
        self.advice = advice


def shorten(value: object, limit: int = 60) -> str:
    """Return `value` as printable ASCII of bounded length: file contents end up in messages.

    Containers are named by their type only: their repr can be endless.
    """
    if not isinstance(value, str):
        plain = value is None or isinstance(value, (int, float, bytes))
        value = repr(value) if plain else f"a {type(value).__name__}"
    text = value if len(value) <= limit else value[: limit - 3] + "..."
    return text.encode("ascii", "backslashreplace").decode().replace("\n", "\\n")
