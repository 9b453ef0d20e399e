"""Which of a version's artifacts is the network: a rule over paths."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from builder.sources.mlmodel import NOTHING, SUFFIXES, Packaging
from edge_agent.errors import RegistryError

CHECKPOINTS = (".pt", ".pth")
_FAVOURITES = {"best.pt": 0, "last.pt": 1}
_SHOWN = 12
_FLAVOR_WORDS = {
    "pytorch": "MLmodel names it (flavour pytorch)",
    "onnx": "MLmodel names it (flavour onnx)",
    "python_function": "the pyfunc wraps it",
}


@dataclass(frozen=True)
class Candidate:
    """The chosen artifact and why it was that one."""

    path: str
    choice: str


def choose_checkpoint(
    paths: Iterable[str], where: str, packaging: Packaging = NOTHING
) -> Candidate:
    """Choose the network among artifact paths.

    A checkpoint goes before an ONNX file, because it can be proven against PyTorch; what an MLmodel
    file names before what it does not; ``best.pt`` (what training found best on the validation
    images) before ``last.pt``, that before any other; among equals the one nearest to the top, then
    by name.

    Args:
        paths: all files of the version, relative, with ``/``.
        where: what to call the version in a message.
        packaging: what its MLmodel files say.

    Raises:
        RegistryError: when there is none; lists what was found.
    """
    found = sorted(paths)
    networks = sorted(
        (path for path in found if path.lower().endswith(SUFFIXES)),
        key=lambda path: _preference(path, packaging),
    )
    if not networks:
        flavors = f" (flavours {', '.join(packaging.flavors)})" if packaging.flavors else ""
        raise RegistryError(
            f"{where}: no checkpoint ({', '.join(CHECKPOINTS)}) and no .onnx file among its"
            f" artifacts{flavors}: {_some(found) or 'there are none'};{_advice(found)}"
        )
    taken, others = networks[0], networks[1:]
    flavor = packaging.files.get(taken)
    if not others:
        said = f", {_FLAVOR_WORDS[flavor]}" if flavor else ""
        kind = "checkpoint" if _is_checkpoint(taken) else "ONNX file; there is no checkpoint"
        return Candidate(taken, f"{taken}, the only {kind}{said}")
    reason = _reason(taken, others, flavor)
    return Candidate(taken, f"{taken}, {reason} (also there: {_some(others)})")


def _is_checkpoint(path: str) -> bool:
    return path.lower().endswith(CHECKPOINTS)


def _preference(path: str, packaging: Packaging) -> tuple[bool, bool, int, int, str]:
    pure = PurePosixPath(path)
    favourite = _FAVOURITES.get(pure.name.lower(), len(_FAVOURITES))
    return not _is_checkpoint(path), path not in packaging.files, favourite, len(pure.parts), path


def _reason(path: str, others: list[str], flavor: str | None) -> str:
    name = PurePosixPath(path).name.lower()
    if flavor:
        return f"because {_FLAVOR_WORDS[flavor]}"
    if name == "best.pt":
        return "because best.pt is what validation found best"
    if name == "last.pt":
        return "because there is no best.pt"
    if _is_checkpoint(path) and not any(map(_is_checkpoint, others)):
        return "because a checkpoint can be proven, an ONNX file only taken"
    return "because it is nearest to the top and first by name"


def _advice(found: list[str]) -> str:
    if any(path.endswith(".pt2") for path in found):
        return " a .pt2 file is an exported program, not a checkpoint; log the training's best.pt"
    return " log the training's best.pt with the version"


def _some(paths: list[str]) -> str:
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ", ".join(paths[:_SHOWN]) + more
