"""The release that was published before, as a bundle that a new version can be compared with."""

from __future__ import annotations

from pathlib import Path

from builder.publish import release_before
from edge_agent.atomic import copy_atomic, make_dirs, write_atomic
from edge_agent.bundle import MANIFEST_NAME, file_fault
from edge_agent.errors import RepositoryError
from edge_agent.release.repo import ReleaseRepository


def bring_back(repository: ReleaseRepository, name: str, version: int, folder: Path) -> Path | None:
    """Write manifest and fp32 graph of the release before ``version`` into a folder.

    Args:
        repository: where it was published.
        name: of the release.
        version: that is to be built.
        folder: for the bundle; what lies there is replaced file by file.

    Returns:
        The folder, or None when no earlier version is published.

    Raises:
        RepositoryError: its manifest or its graph is damaged, or not there any more.
        BundleError: it has no fp32 graph.
        StorageError: disk full or not ours.
    """
    manifest = release_before(repository, name, version)
    if manifest is None:
        return None
    graph = manifest.entry(manifest.variant("fp32").path)
    blob = repository.blob(graph)
    if fault := file_fault(blob, graph):
        raise RepositoryError(f"{blob}: {fault}; restore it from a mirror or a backup")
    make_dirs((folder / graph.path).parent)
    copy_atomic(blob, folder / graph.path)
    write_atomic(folder / MANIFEST_NAME, manifest.to_bytes())
    return folder
