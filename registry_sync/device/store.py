"""Releases on disk: folders of hard links into the store of blobs.

A release folder appears in one step (made under another name, then renamed), so one that exists
is complete. Blobs are shared between releases; a blob whose only link is the store's is garbage.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path

from edge_agent.atomic import fsync_dir, write_atomic
from edge_agent.bundle import MANIFEST_NAME, FileEntry, Manifest, file_fault
from edge_agent.errors import BundleError, storage_errors
from edge_agent.layout import Layout

_DIGEST = re.compile(r"[0-9a-f]{64}")


class Store:
    """Blobs and releases of one device."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    @property
    def blobs(self) -> Path:
        """Folder of blobs by their SHA-256."""
        return self.layout.store

    def manifest(self, model: str, digest: str) -> Manifest:
        """The manifest of a release on disk.

        Raises:
            BundleError: when the folder is missing or its manifest is not the pinned one.
        """
        path = self.layout.release(model, digest) / MANIFEST_NAME
        try:
            manifest = Manifest.parse(path.read_bytes(), where=str(path))
        except OSError as error:
            raise BundleError(f"{path}: {error.strerror}; it is fetched again") from None
        if manifest.digest != digest:
            raise BundleError(f"{path}: is not the manifest of {digest[:12]}…; it is fetched again")
        return manifest

    def assemble(self, model: str, manifest: Manifest, files: Iterable[FileEntry]) -> Path:
        """Make the release folder from blobs that are in the store; nothing when it is there.

        Raises:
            StorageError: the disk's refusal; there is no half folder then.
        """
        final = self.layout.release(model, manifest.digest)
        if final.is_dir():
            return final
        temporary = final.with_name(f".{manifest.digest}.{secrets.token_hex(4)}.tmp")
        with storage_errors(final):
            try:
                _fill(temporary, self.blobs, manifest, files)
                os.replace(temporary, final)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
            fsync_dir(final.parent)
        return final

    def verify(self, model: str, digest: str, variant: str) -> Manifest:
        """Read every file of a release again and check size and hash.

        What is damaged is thrown away, blob and folder, so that the next try fetches it anew.

        Raises:
            BundleError: naming every file that is missing or damaged.
        """
        folder = self.layout.release(model, digest)
        manifest = self.manifest(model, digest)
        faults = {
            entry: fault
            for entry in manifest.files_for(variant)
            if (fault := file_fault(folder / entry.path, entry))
        }
        if faults:
            for entry in faults:
                (self.blobs / entry.sha256).unlink(missing_ok=True)
            self.discard(model, digest)
            texts = "; ".join(f"{entry.path} {fault}" for entry, fault in faults.items())
            raise BundleError(f"{folder}: {texts}; it is fetched again")
        return manifest

    def complete(self, model: str, digest: str) -> bool:
        """Whether a release folder stands; it only ever appears whole."""
        return (self.layout.release(model, digest) / MANIFEST_NAME).is_file()

    def discard(self, model: str, digest: str) -> None:
        """Remove a release folder: out of sight first, so that no half folder is ever seen."""
        final = self.layout.release(model, digest)
        if not final.is_dir():
            return
        trash = final.with_name(f".{digest}.{secrets.token_hex(4)}.tmp")
        with storage_errors(final):
            os.replace(final, trash)
            shutil.rmtree(trash)

    def collect(self, model: str, keep: Collection[str]) -> int:
        """Remove releases, blobs and leftovers that nothing needs.

        Args:
            model: whose releases to look at.
            keep: digests that stay; so does every release that a link beside ``releases`` names.

        Returns:
            Number of releases and blobs removed.
        """
        folder = self.layout.model(model)
        stay = set(keep) | {
            Path(os.readlink(link)).name for link in _entries(folder) if link.is_symlink()
        }
        removed = 0
        for release in _entries(folder / "releases"):
            if release.name.startswith("."):
                shutil.rmtree(release, ignore_errors=True)
            elif _DIGEST.fullmatch(release.name) and release.name not in stay:
                self.discard(model, release.name)
                removed += 1
        for blob in _entries(self.blobs):
            if blob.stat().st_nlink == 1:
                blob.unlink()
                removed += 1
        return removed


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _fill(folder: Path, blobs: Path, manifest: Manifest, files: Iterable[FileEntry]) -> None:
    folder.mkdir(parents=True)
    write_atomic(folder / MANIFEST_NAME, manifest.to_bytes())
    for entry in files:
        place = folder / entry.path
        place.parent.mkdir(parents=True, exist_ok=True)
        os.link(blobs / entry.sha256, place)
    for inner in [*(path for path in folder.rglob("*") if path.is_dir()), folder]:
        fsync_dir(inner)
