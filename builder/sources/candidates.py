"""Which of a version's artifacts is the checkpoint: a rule over paths."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from edge_agent.errors import RegistryError

SUFFIXES = (".pt", ".pth")
_FAVOURITES = {"best.pt": 0, "last.pt": 1}
_SHOWN = 12


@dataclass(frozen=True)
class Candidate:
    """The chosen artifact and why it was that one."""

    path: str
    choice: str


def choose_checkpoint(paths: Iterable[str], where: str) -> Candidate:
    """Choose the checkpoint among artifact paths.

    ``best.pt`` (what training found best on the validation images) goes before ``last.pt``, that
    before any other checkpoint; among equals the one nearest to the top, then by name.

    Args:
        paths: all files of the version, relative, with ``/``.
        where: what to call the version in a message.

    Raises:
        RegistryError: when there is none; lists what was found.
    """
    found = sorted(paths)
    checkpoints = sorted(
        (path for path in found if path.lower().endswith(SUFFIXES)), key=_preference
    )
    if not checkpoints:
        raise RegistryError(
            f"{where}: no checkpoint ({' or '.join(SUFFIXES)}) among its artifacts:"
            f" {_some(found) or 'there are none'}; log the training's best.pt with the version"
        )
    taken, others = checkpoints[0], checkpoints[1:]
    if not others:
        return Candidate(taken, f"{taken}, the only checkpoint")
    return Candidate(taken, f"{taken}, {_reason(taken)} (also there: {_some(others)})")


def _preference(path: str) -> tuple[int, int, str]:
    pure = PurePosixPath(path)
    return _FAVOURITES.get(pure.name.lower(), len(_FAVOURITES)), len(pure.parts), path


def _reason(path: str) -> str:
    name = PurePosixPath(path).name.lower()
    if name == "best.pt":
        return "because best.pt is what validation found best"
    if name == "last.pt":
        return "because there is no best.pt"
    return "because it is nearest to the top and first by name"


def _some(paths: list[str]) -> str:
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ", ".join(paths[:_SHOWN]) + more
