"""The write side of the release repository: TUF metadata, targets and content-addressed blobs.

Shared by ``edge-builder publish`` and ``registry-sync rollout``, so it lives on the ground floor.
python-tuf is imported inside functions: a running agent never pays for it.

::

    root.json                       the newest root, for devices to embed
    metadata/                       N.root.json, N.targets.json, N.releases.json, N.rollouts.json,
                                    N.snapshot.json, timestamp.json
    targets/releases/<model>/<sha256>.<version>.json     manifests
    targets/rollouts/<sha256>.<group>.json               rollout documents
    blobs/sha256/<hash>             what the manifests' files entries name

Everything is written so that a client sees the old or the new state at any moment: blobs, then the
target, then the delegated role, then snapshot, and ``timestamp.json``, which makes it visible,
last. What a crash leaves behind is referenced by nothing and is overwritten by the next writer.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_agent.atomic import copy_atomic, make_dirs, write_atomic
from edge_agent.bundle import NAME_PATTERN, Bundle, FileEntry, Manifest, file_fault
from edge_agent.checked import Fields, nearest
from edge_agent.errors import RepositoryError, storage_errors
from edge_agent.release.chain import (
    DEFAULT_EXPIRY,
    Chain,
    Expiry,
    found,
    half_over,
    load,
    read_file,
    seal,
    sign,
    utc_now,
)
from edge_agent.release.keys import (
    DELEGATED,
    OFFLINE,
    ONLINE,
    key_files,
    make_keys,
    read_key,
    signers,
)

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner

_RELEASE = re.compile(rf"releases/({NAME_PATTERN})/([1-9][0-9]{{0,17}})\.json")
_LOCK_WAIT_S = 10.0


@dataclass(frozen=True)
class Release:
    """One published release; its digest is the SHA-256 of its manifest."""

    name: str
    version: int
    digest: str


@dataclass(frozen=True)
class Published(Release):
    """What a publication did: blobs written and their bytes; both 0 when nothing was new."""

    new_blobs: int
    bytes: int


def init(
    repo: Path,
    keys: Path,
    *,
    expiry: Expiry = DEFAULT_EXPIRY,
    offline_keys: int = 1,
    threshold: int = 1,
    now: Callable[[], datetime] = utc_now,
) -> ReleaseRepository:
    """Found a release repository and the keys of its roles.

    Args:
        repo: folder to serve; may exist, must not hold a repository.
        keys: folder for the private keys (0700); keys that are there already are used.
        expiry: days per role.
        offline_keys: keys to make for root and for targets each.
        threshold: how many of these must sign.
        now: the clock.

    Raises:
        RepositoryError: when there is a repository already, or the threshold cannot be met.
    """
    if (repo / "metadata" / "timestamp.json").exists():
        raise RepositoryError(f"{repo}: there is a release repository already; nothing was changed")
    if not 1 <= threshold <= offline_keys:
        raise RepositoryError(
            f"a threshold of {threshold} needs at least as many offline keys, not {offline_keys}"
        )
    held = {role: make_keys(keys, role, offline_keys) for role in OFFLINE}
    held |= {role: make_keys(keys, role, 1) for role in (*DELEGATED, *ONLINE)}
    for folder in ("metadata", "targets", "blobs/sha256"):
        make_dirs(repo / folder)
    chain, moment = found(held, threshold, expiry), now()
    for role in (*OFFLINE, *DELEGATED):
        sign(repo, chain, role, held[role], moment)
    seal(repo, chain, held, moment)
    return ReleaseRepository.open(repo, keys, now=now)


class ReleaseRepository:
    """A release repository on a local disk, opened for reading and, with keys, for writing."""

    def __init__(self, repo: Path, keys: Path | None, now: Callable[[], datetime]) -> None:
        self.repo = repo
        self.keys = keys
        self._now = now

    @classmethod
    def open(
        cls, repo: Path, keys: Path | None = None, *, now: Callable[[], datetime] = utc_now
    ) -> ReleaseRepository:
        """Open a repository; its chain of signatures is checked.

        Raises:
            RepositoryError: when there is none or its metadata does not verify.
        """
        repository = cls(repo, keys, now)
        repository._load()
        return repository

    def releases(self) -> list[Release]:
        """All published releases, by name and version."""
        found = []
        for path, target in self._load().targets["releases"].signed.targets.items():
            match = _RELEASE.fullmatch(path)
            if match is None:
                raise RepositoryError(f"{self.repo}: {path!r} is not the name of a release")
            found.append(Release(match[1], int(match[2]), target.hashes["sha256"]))
        return sorted(found, key=lambda release: (release.name, release.version))

    def release(self, name: str, version: int) -> Manifest:
        """The manifest of a published release.

        Raises:
            RepositoryError: when it was not published (naming what was), or is damaged.
        """
        path = f"releases/{name}/{version}.json"
        data = self._read_target("releases", path)
        if data is None:
            known = [f"{release.name} {release.version}" for release in self.releases()]
            raise RepositoryError(
                f"{self.repo}: {name} {version} is not published here;"
                f" there is {', '.join(known) or 'nothing yet'}"
                + nearest(f"{name} {version}", known)
            )
        return Manifest.parse(data, where=path)

    def blob(self, entry: FileEntry) -> Path:
        """Where the bytes of a release's file lie; whether they are whole is not looked at."""
        return self.repo / "blobs" / "sha256" / entry.sha256

    def publish_release(
        self, bundle: Bundle, progress: Callable[[FileEntry], None] | None = None
    ) -> Published:
        """Publish a verified bundle; publishing the same once more changes nothing.

        Args:
            bundle: what to publish; all its hashes are checked first.
            progress: called after each file that is in the repository.

        Raises:
            BundleError: when the bundle is damaged.
            RepositoryError: when this version is published with another digest, or a key is
                missing.
            StorageError: disk full or not ours.
        """
        bundle.verify()
        manifest = bundle.manifest
        path = f"releases/{manifest.name}/{manifest.version}.json"
        with self._writing("releases") as (chain, held):
            known = chain.targets["releases"].signed.targets.get(path)
            if known is not None and known.hashes["sha256"] != manifest.digest:
                raise RepositoryError(
                    f"{self.repo}: {manifest.name} {manifest.version} is published as"
                    f" {known.hashes['sha256'][:12]}… and this bundle is"
                    f" {manifest.digest[:12]}…; a release never changes, promote a new version"
                )
            written = [self._store(bundle, entry, progress) for entry in manifest.files]
            if known is None:
                self._put_target(chain, held, "releases", path, manifest.to_bytes())
        new = [size for size in written if size is not None]
        return Published(manifest.name, manifest.version, manifest.digest, len(new), sum(new))

    def groups(self) -> list[str]:
        """The device groups that have a rollout document."""
        targets = self._load().targets["rollouts"].signed.targets
        return sorted(path.split("/")[1].removesuffix(".json") for path in targets)

    def read_rollout(self, group: str) -> dict[str, Any] | None:
        """The published rollout document of a group, None when there never was one."""
        data = self._read_target("rollouts", f"rollouts/{group}.json")
        return None if data is None else _document(data, group)

    def put_rollout(self, group: str, document: bytes) -> None:
        """Publish a rollout document; publishing the same once more changes nothing.

        Raises:
            RepositoryError: when its revision is not above the published one (somebody else was
                faster), or a key is missing.
        """
        fields = Fields({"group": group})
        fields.text("group", pattern=NAME_PATTERN)
        revision = _document(document, group).get("revision")
        if fields.faults or not isinstance(revision, int) or revision < 1:
            raise RepositoryError(
                f"rollout of {group!r}: needs a plain group name and a revision from 1,"
                f" is {revision!r}"
            )
        with self._writing("rollouts") as (chain, held):
            path = f"rollouts/{group}.json"
            old = self._read_target("rollouts", path, chain)
            if old == document:
                return
            highest = _document(old, group)["revision"] if old is not None else 0
            if revision <= highest:
                raise RepositoryError(
                    f"rollout of {group!r}: revision {highest} is published already, {revision}"
                    " is not newer; somebody else was faster, read it and try again"
                )
            self._put_target(chain, held, "rollouts", path, document)

    def refresh_timestamp(self) -> list[str]:
        """Sign timestamp again, and every role below half of its life whose key is here.

        Returns:
            The roles that were signed; ``timestamp`` is always among them.
        """
        with self._locked():
            chain, moment = self._load(), self._now()
            held = self._signers(chain, *ONLINE)
            renewed = []
            for role in (*OFFLINE, *DELEGATED):
                signed = chain.role(role).signed
                if half_over(signed, moment) and (keys := self._have(chain, role)):
                    sign(self.repo, chain, role, keys, moment)
                    renewed.append(role)
            below = [role for role in renewed if role != "root"]
            if below or half_over(chain.snapshot.signed, moment):
                seal(self.repo, chain, held, moment)
                return [*renewed, *ONLINE]
            sign(self.repo, chain, "timestamp", held["timestamp"], moment)
            return [*renewed, "timestamp"]

    def _have(self, chain: Chain, role: str) -> list[CryptoSigner]:
        """The signers of a role, none when not enough of its keys are here."""
        for path in key_files(self.keys, role) if self.keys else ():
            read_key(path)  # a key that is here and broken is worth an error
        try:
            return self._signers(chain, role)[role]
        except RepositoryError:
            return []

    def _store(
        self, bundle: Bundle, entry: FileEntry, progress: Callable[[FileEntry], None] | None
    ) -> int | None:
        """Copy one file to its blob; its size, or None when the blob was there and whole."""
        blob = self.blob(entry)
        size = None
        if file_fault(blob, entry) is not None:
            if copy_atomic(bundle.path(entry.path), blob) != entry.sha256:
                blob.unlink(missing_ok=True)
                raise RepositoryError(
                    f"{bundle.path(entry.path)}: changed while it was published; build it again"
                )
            size = entry.size
        if progress is not None:
            progress(entry)
        return size

    def _put_target(
        self, chain: Chain, held: Mapping[str, list[CryptoSigner]], role: str, path: str,
        data: bytes,
    ) -> None:  # fmt: skip
        from tuf.api.metadata import TargetFile

        folder, _, name = path.rpartition("/")
        target = TargetFile.from_data(path, data, ["sha256"])
        file = self.repo / "targets" / folder / f"{target.hashes['sha256']}.{name}"
        make_dirs(file.parent)
        write_atomic(file, data)
        chain.targets[role].signed.targets[path] = target
        moment = self._now()
        sign(self.repo, chain, role, held[role], moment)
        seal(self.repo, chain, held, moment)

    def _read_target(self, role: str, path: str, chain: Chain | None = None) -> bytes | None:
        target = (chain or self._load()).targets[role].signed.targets.get(path)
        if target is None:
            return None
        folder, _, name = path.rpartition("/")
        file = self.repo / "targets" / folder / f"{target.hashes['sha256']}.{name}"
        data = read_file(file)
        if hashlib.sha256(data).hexdigest() != target.hashes["sha256"]:
            raise RepositoryError(f"{file}: is damaged; restore it from a mirror or a backup")
        return data

    @contextmanager
    def _writing(self, role: str) -> Iterator[tuple[Chain, dict[str, list[CryptoSigner]]]]:
        with self._locked():
            chain = self._load()
            held = self._signers(chain, role, *ONLINE)
            for name in OFFLINE:
                if chain.role(name).signed.is_expired(self._now()):
                    raise RepositoryError(
                        f"{self.repo}: '{name}' expired, devices refuse it; renew it with its"
                        " offline key: `edge-builder repo refresh`"
                    )
            yield chain, held

    def _signers(self, chain: Chain, *roles: str) -> dict[str, list[CryptoSigner]]:
        top = chain.targets["targets"].signed
        found = {}
        for role in roles:
            delegator = top if role in DELEGATED else chain.root.signed
            wanted = delegator.get_delegated_role(role)
            found[role] = signers(self.keys, role, wanted.keyids, wanted.threshold)
        return found

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other writers out; the lock falls with the process, so a crash cannot leave it."""
        with storage_errors(self.repo):
            fd = os.open(self.repo / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            deadline = time.monotonic() + _LOCK_WAIT_S
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise RepositoryError(
                            f"{self.repo}: another process is publishing; try again when it is done"
                        ) from None
                    time.sleep(0.05)
            yield
        finally:
            os.close(fd)

    def _load(self) -> Chain:
        return load(self.repo)


def _document(data: bytes, group: str) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RepositoryError(f"rollout of {group!r}: not JSON ({error})") from None
    if not isinstance(document, dict):
        raise RepositoryError(f"rollout of {group!r}: should be a table")
    return document
