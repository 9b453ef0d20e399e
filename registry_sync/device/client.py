"""Reading the release repository: what to run, proven by TUF.

python-tuf checks signatures, expiry and versions. Two things are added here. The embedded root is
the bootstrap every time, so that damaged local state cannot replace it. And the highest versions
ever accepted are kept in the journal: python-tuf forgets them when a power cut zeroes its files,
and would then accept a replay of old metadata.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuf.api import exceptions
from tuf.api.metadata import Metadata
from tuf.ngclient import Updater, UpdaterConfig

from edge_agent.atomic import fsync_dir
from edge_agent.bundle import MANIFEST_MAX_BYTES, FileEntry
from edge_agent.config import Repository
from edge_agent.errors import ConfigError, RepositoryError, storage_errors
from edge_agent.layout import Layout
from edge_agent.slots import Journal
from registry_sync.device.fetcher import fetch
from registry_sync.device.transport import TufFetcher
from registry_sync.rollout import MAX_BYTES, Rollout

if TYPE_CHECKING:
    from registry_sync.device.transport import Transport

_ROLES = ("root", "timestamp", "snapshot", "targets")


class Client:
    """One device's view of one release repository.

    Args:
        repository: address and embedded root of trust.
        layout: where TUF metadata is kept.
        journal: remembers the highest versions seen.
        transport: where bytes come from.
    """

    def __init__(
        self, repository: Repository, layout: Layout, journal: Journal, transport: Transport
    ) -> None:
        self.url = repository.url.rstrip("/")
        self._root = repository.root
        self._folder = layout.trust
        self._store = layout.store
        self._journal = journal
        self._transport = transport
        self._updater: Updater | None = None

    def refresh(self) -> None:
        """Bring the metadata up to date.

        Raises:
            RepositoryError: away, expired, wrongly signed, or older than what was seen here.
            ConfigError: when the embedded root is missing.
        """
        self._updater = None
        with storage_errors(self._folder):
            self._targets.mkdir(parents=True, exist_ok=True)
        with _translated(self.url):
            updater = Updater(
                str(self._folder),
                f"{self.url}/metadata/",
                str(self._targets),
                f"{self.url}/targets/",
                fetcher=TufFetcher(self._transport),
                config=UpdaterConfig(),
                bootstrap=self._bootstrap(),
            )
            updater.refresh()
        self._remember()
        self._updater = updater

    def rollout(self, group: str) -> Rollout | None:
        """The rollout document of a group; None when there never was one.

        Raises:
            RepositoryError: not verifiable, not readable, or a lower revision than seen before.
        """
        data = self._target(f"rollouts/{group}.json", MAX_BYTES)
        if data is None:
            return None
        document = Rollout.parse(data, where=f"rollouts/{group}.json")
        if document.group != group:
            raise RepositoryError(
                f"rollouts/{group}.json: is the document of group {document.group!r}; refused"
            )
        highest = self._journal.seen(f"rollout/{group}")
        if document.revision < highest:
            raise RepositoryError(
                f"rollouts/{group}.json: revision {document.revision} is below {highest}, which was"
                " seen here; refused as a rollback attack, sign a new revision"
            )
        if document.revision > highest:
            self._journal.remember_seen({f"rollout/{group}": document.revision})
        return document

    def manifest(self, model: str, version: int, digest: str) -> bytes:
        """The manifest of a release, pinned by its digest.

        Raises:
            RepositoryError: not published, not verifiable, or not what the rollout pinned.
        """
        path = f"releases/{model}/{version}.json"
        data = self._target(path, MANIFEST_MAX_BYTES)
        if data is None:
            raise RepositoryError(f"{path}: no such release is signed; publish it first")
        if hashlib.sha256(data).hexdigest() != digest:
            raise RepositoryError(
                f"{path}: is not the release {digest[:12]}… that the rollout pinned; refused"
            )
        return data

    def fetch(self, entries: tuple[FileEntry, ...]) -> int:
        """Bring blobs into the store; returns the bytes that were missing.

        Raises:
            RepositoryError: away, cut short, or not what the manifest says.
            StorageError: too little space.
        """
        return fetch(entries, self._store, self._transport, f"{self.url}/blobs/sha256")

    @property
    def _targets(self) -> Path:
        return self._folder / "targets"

    def _bootstrap(self) -> bytes:
        try:
            return self._root.read_bytes()
        except OSError as error:
            raise ConfigError(
                f"{self._root}: {error.strerror}; copy root.json from the release repository"
                " and name it in [repository] root"
            ) from None

    def _target(self, path: str, most: int) -> bytes | None:
        if self._updater is None:
            self.refresh()
        assert self._updater is not None
        with _translated(self.url):
            info = self._updater.get_targetinfo(path)
            if info is None:
                return None
            if info.length > most:
                raise RepositoryError(f"{path}: {info.length} bytes is too large")
            place = self._updater.find_cached_target(info) or self._updater.download_target(info)
        return Path(place).read_bytes()

    def _remember(self) -> None:
        """Refuse what is older than seen before; then make the new state durable."""
        root = Metadata.from_file(str(self._folder / "root.json")).signed
        versions = {}
        for role in _ROLES:
            signed = Metadata.from_file(str(self._folder / f"{role}.json")).signed
            name = _counter(role, root)
            versions[name] = signed.version
            if signed.version < (highest := self._journal.seen(name)):
                raise RepositoryError(
                    f"{self.url}: {role} version {signed.version} is below {highest}, which was"
                    " seen here; refused as a rollback attack, publish newer metadata"
                )
        if any(version > self._journal.seen(name) for name, version in versions.items()):
            _fsync_tree(self._folder)
            self._journal.remember_seen(versions)


def _counter(role: str, root: Any) -> str:
    """Name of a role's counter; new keys begin a new one, so a fast-forward can be repaired."""
    if role == "root":
        return role
    keys = "\n".join(sorted(root.roles[role].keyids))
    return f"{role}@{hashlib.sha256(keys.encode()).hexdigest()[:8]}"


def _fsync_tree(folder: Path) -> None:
    with storage_errors(folder):
        for path in folder.rglob("*.json"):
            with path.open("rb") as file:
                os.fsync(file.fileno())
        for inner in [*(path for path in folder.rglob("*") if path.is_dir()), folder]:
            fsync_dir(inner)


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """python-tuf's exceptions as one line that says which kind of trouble it is."""
    try:
        with storage_errors(Path(url)):
            yield
    except exceptions.ExpiredMetadataError as error:
        raise RepositoryError(
            f"{url}: metadata has expired ({error}); nothing new is installed until the publisher"
            " signs it again; check this machine's clock too"
        ) from None
    except exceptions.UnsignedMetadataError as error:
        raise RepositoryError(
            f"{url}: wrong signature ({error}); refused; is [repository] root the right one?"
        ) from None
    except exceptions.BadVersionNumberError as error:
        raise RepositoryError(
            f"{url}: older metadata than seen before ({error}); refused as a rollback attack"
        ) from None
    except (exceptions.LengthOrHashMismatchError, exceptions.RepositoryError) as error:
        raise RepositoryError(f"{url}: metadata does not verify ({error}); refused") from None
    except exceptions.DownloadError as error:
        raise RepositoryError(_download_trouble(url, error)) from None


def _download_trouble(url: str, error: Exception) -> str:
    if isinstance(error, exceptions.DownloadLengthMismatchError):
        return f"{url}: sends more bytes than were signed ({error}); refused"
    # What the transport said is already a line for people.
    cause = error.__cause__ if isinstance(error.__cause__, RepositoryError) else error
    return f"the repository is away: {cause}"
