"""The release repository's TUF metadata: reading the chain of signatures and extending it.

Expiry periods travel inside the signed metadata (``x-outpost-expiry-days``), as tuf-on-ci does, so
that whoever signs next renews a role for as long as its founder meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_agent.atomic import write_atomic
from edge_agent.errors import RepositoryError
from edge_agent.release.keys import DELEGATED, OFFLINE, ONLINE

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner
    from tuf.api.metadata import Delegations, Metadata, Root, Signed, Snapshot, Targets, Timestamp

# TUF's * does not cross a "/".
PATHS = {"releases": "releases/*/*.json", "rollouts": "rollouts/*.json"}
_DAYS_FIELD = "x-outpost-expiry-days"


@dataclass(frozen=True)
class Expiry:
    """Days until each role's metadata expires when nobody signs it again.

    Expired metadata blocks new installs, never inference. The period travels inside the signed
    metadata, so that a later signature renews it for as long as it was meant.
    """

    root: int = 365
    targets: int = 365
    releases: int = 365
    rollouts: int = 365
    snapshot: int = 30
    timestamp: int = 14


DEFAULT_EXPIRY = Expiry()


@dataclass
class Chain:
    """The newest metadata of every role, each with its signatures."""

    root: Metadata[Root]
    timestamp: Metadata[Timestamp]
    snapshot: Metadata[Snapshot]
    targets: dict[str, Metadata[Targets]]  # "targets", "releases", "rollouts"

    def role(self, name: str) -> Metadata[Any]:
        """The metadata of one role by its name."""
        own: dict[str, Metadata[Any]] = {
            "root": self.root,
            "timestamp": self.timestamp,
            "snapshot": self.snapshot,
        }
        return own[name] if name in own else self.targets[name]


def utc_now() -> datetime:
    """The wall clock in UTC, whole seconds, as TUF writes it."""
    return datetime.now(timezone.utc).replace(microsecond=0)


def found(held: Mapping[str, list[CryptoSigner]], threshold: int, expiry: Expiry) -> Chain:
    """A new, unsigned chain that trusts these keys; signing brings every role to version 1."""
    from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp

    root = Root(consistent_snapshot=True)
    for role in (*OFFLINE, *ONLINE):
        for signer in held[role]:
            root.add_key(signer.public_key, role)
        root.roles[role].threshold = threshold if role in OFFLINE else 1
    roles = {role: Metadata(Targets()) for role in DELEGATED}
    roles["targets"] = Metadata(Targets(delegations=_delegations(held)))
    chain = Chain(Metadata(root), Metadata(Timestamp()), Metadata(Snapshot()), roles)
    for role in (*OFFLINE, *DELEGATED, *ONLINE):
        signed = chain.role(role).signed
        signed.version = 0
        signed.unrecognized_fields[_DAYS_FIELD] = getattr(expiry, role)
    return chain


def _delegations(held: Mapping[str, list[CryptoSigner]]) -> Delegations:
    from tuf.api.metadata import DelegatedRole, Delegations

    keys = {role: held[role][0].public_key for role in DELEGATED}
    roles = {
        role: DelegatedRole(role, [keys[role].keyid], 1, terminating=True, paths=[PATHS[role]])
        for role in DELEGATED
    }
    return Delegations({key.keyid: key for key in keys.values()}, roles)


def sign(repo: Path, chain: Chain, role: str, held: list[CryptoSigner], moment: datetime) -> None:
    """Count the version up, renew the expiry, sign, write; keep the snapshot's record of it."""
    from tuf.api.metadata import MetaFile

    metadata = chain.role(role)
    metadata.signed.version += 1
    metadata.signed.expires = moment + timedelta(days=_days(metadata.signed))
    metadata.signatures.clear()
    for signer in held:
        metadata.sign(signer, append=True)
    data = metadata.to_bytes()
    version = metadata.signed.version
    name = "timestamp.json" if role == "timestamp" else f"{version}.{role}.json"
    write_atomic(repo / "metadata" / name, data)
    if role == "root":
        write_atomic(repo / "root.json", data)
    elif role == "snapshot":
        chain.timestamp.signed.snapshot_meta = MetaFile.from_data(version, data, ["sha256"])
    elif role != "timestamp":
        meta = MetaFile.from_data(version, data, ["sha256"])
        chain.snapshot.signed.meta[f"{role}.json"] = meta


def seal(
    repo: Path, chain: Chain, held: Mapping[str, list[CryptoSigner]], moment: datetime
) -> None:
    """Write snapshot, then timestamp: from here on clients see the new state."""
    for role in ONLINE:
        sign(repo, chain, role, held[role], moment)


def half_over(signed: Signed, moment: datetime) -> bool:
    """Whether less than half of the time that a signature stands for is left."""
    return signed.expires - moment < timedelta(days=_days(signed)) / 2


def _days(signed: Signed) -> int:
    fallback = getattr(DEFAULT_EXPIRY, signed.type)
    days = signed.unrecognized_fields.get(_DAYS_FIELD, fallback)
    return days if isinstance(days, int) and 0 < days < 36_500 else int(fallback)


def read_file(path: Path) -> bytes:
    """The bytes of one file of the repository; raises `RepositoryError`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise RepositoryError(
            f"{path}: {error.strerror}; restore it from a mirror or a backup"
        ) from None


def load(repo: Path) -> Chain:
    """Read timestamp -> snapshot -> roles and check every signature on the way.

    Metadata that nothing refers to (a writer was killed) is not read.

    Raises:
        RepositoryError: when there is no repository, or a file is damaged or wrongly signed.
    """
    from tuf.api.metadata import Root, Snapshot, Targets, Timestamp

    folder = repo / "metadata"
    versions = [int(p.name.split(".")[0]) for p in folder.glob("[0-9]*.root.json")]
    if not versions or not (folder / "timestamp.json").exists():
        raise RepositoryError(
            f"{repo}: not a release repository; make one with"
            f" `edge-builder repo init --repo {repo} --keys DIR`"
        )
    root = _read(folder / f"{max(versions)}.root.json", Root, "root", None)
    timestamp = _read(folder / "timestamp.json", Timestamp, "timestamp", root)
    version = timestamp.signed.snapshot_meta.version
    snapshot = _read(folder / f"{version}.snapshot.json", Snapshot, "snapshot", root)
    roles: dict[str, Metadata[Targets]] = {}
    for role in ("targets", *DELEGATED):
        meta = snapshot.signed.meta.get(f"{role}.json")
        if meta is None:
            raise RepositoryError(f"{folder}: the snapshot does not know '{role}'; {_RESTORE}")
        parent: Any = root if role == "targets" else roles["targets"]
        roles[role] = _read(folder / f"{meta.version}.{role}.json", Targets, role, parent)
    return Chain(root, timestamp, snapshot, roles)


_RESTORE = "restore the repository from a mirror or a backup"


def _read(path: Path, kind: type[Any], role: str, parent: Metadata[Any] | None) -> Any:
    from tuf.api.exceptions import RepositoryError as TufError
    from tuf.api.metadata import Metadata
    from tuf.api.serialization import DeserializationError

    try:
        metadata = Metadata.from_bytes(read_file(path))
        if not isinstance(metadata.signed, kind):
            raise RepositoryError(f"{path}: is not metadata of '{role}'; {_RESTORE}")
        (parent or metadata).verify_delegate(role, metadata)
    except (DeserializationError, TufError, ValueError) as error:
        raise RepositoryError(f"{path}: {error}; {_RESTORE}") from None
    return metadata
