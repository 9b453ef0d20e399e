"""From an artifact location of MLflow to the one file that holds the network, on this disk."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from builder.sources.candidates import Candidate, choose_checkpoint
from builder.sources.mlmodel import FILE, MOST_BYTES, NOTHING, SUFFIXES, Packaging, read_mlmodel
from edge_agent.errors import RegistryError

MOST_ARTIFACTS = 10_000
_MOST_MLMODELS = 8


def download(location: str, uri: str, downloads: Path, where: str) -> tuple[Path, Candidate]:
    """The chosen network of an artifact location as a local file.

    Args:
        location: a folder or file: ``runs:/…``, ``models:/m-…``, ``mlflow-artifacts:/…``, a path.
        uri: of the tracking server.
        downloads: a new folder below it takes the file.
        where: what to call the location in a message.

    Raises:
        RegistryError: when there is no network, with what was found.
    """
    from mlflow import artifacts

    downloads.mkdir(parents=True, exist_ok=True)
    folder = tempfile.mkdtemp(dir=downloads)

    def fetch(whole: str) -> Path:
        return Path(
            artifacts.download_artifacts(artifact_uri=whole, tracking_uri=uri, dst_path=folder)
        )

    if location.lower().endswith(SUFFIXES):  # the version is the file itself
        name = location.rpartition("/")[2]
        candidate, whole = Candidate(name, f"{name}, the version's own file"), location
    else:
        found = list_files(location, uri)
        packaging = _packaging(found, lambda path: fetch(_join(location, path)))
        candidate = choose_checkpoint(found, where, packaging)
        whole = _join(location, candidate.path)
    local = fetch(whole)
    if not local.is_file():
        raise RegistryError(f"{where}: {candidate.path} is not a file; register it again")
    if local.suffix.lower() == ".onnx":
        from builder.graph.external import weight_files

        for name in weight_files(local):
            fetch(_join(whole.rpartition("/")[0], name))
    return local, candidate


def list_files(location: str, uri: str) -> dict[str, int]:
    """All file paths below an artifact location, relative to it, with their sizes in bytes."""
    from mlflow import artifacts

    return _walk(
        lambda path: artifacts.list_artifacts(artifact_uri=_join(location, path), tracking_uri=uri)
    )


def _packaging(found: dict[str, int], fetch: Callable[[str], Path]) -> Packaging:
    """What the MLmodel files among the artifacts say."""
    said = NOTHING
    named = [path for path in found if path.rpartition("/")[2] == FILE]
    for path in named[:_MOST_MLMODELS]:
        if found[path] <= MOST_BYTES:
            local = fetch(path)
            text = local.read_text(encoding="utf-8", errors="replace")[:MOST_BYTES]
            said |= read_mlmodel(text, path, found)
    return said


def _join(location: str, path: str) -> str:
    return f"{location.rstrip('/')}/{path}" if path else location


def _walk(listing: Callable[[str], list[Any]]) -> dict[str, int]:
    """Every folder's listing, until there are `MOST_ARTIFACTS` files."""
    files: dict[str, int] = {}
    pending = [""]
    while pending and len(files) < MOST_ARTIFACTS:
        folder = pending.pop()
        for entry in listing(folder):
            path = "/".join(part for part in (folder, entry.path.rpartition("/")[2]) if part)
            if entry.is_dir:
                pending.append(path)
            else:
                files[path] = int(entry.file_size or 0)
    return files
