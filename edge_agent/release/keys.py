"""Private keys of the release repository's roles: one PEM file per role, mode 0600.

Who holds which files decides what he can do: ``releases.pem`` publishes models, ``rollouts.pem``
deploys them, both need ``snapshot.pem`` and ``timestamp.pem``; ``root.pem`` and ``targets.pem``
say who may sign what and belong into a drawer.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent.atomic import write_atomic
from edge_agent.errors import RepositoryError, storage_errors

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner

OFFLINE = ("root", "targets")
DELEGATED = ("releases", "rollouts")
ONLINE = ("snapshot", "timestamp")


def default_keys(repo: Path) -> Path:
    """Where keys are looked for when nobody says: OUTPOST_KEYS, or ``keys`` beside the repo."""
    return Path(os.environ.get("OUTPOST_KEYS") or repo.resolve().parent / "keys")


def key_files(keys: Path, role: str) -> list[Path]:
    """The key files of a role: ``root.pem``, and ``root-2.pem``, … for a threshold above one."""
    return [path for path in (keys / f"{role}.pem", *sorted(keys.glob(f"{role}-*.pem"))) if
            path.exists()]  # fmt: skip


def make_keys(keys: Path, role: str, count: int) -> list[CryptoSigner]:
    """Make the ed25519 keys of a role; key files that are there already are kept and used."""
    names = [f"{role}.pem", *(f"{role}-{number}.pem" for number in range(2, count + 1))]
    with storage_errors(keys):
        keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    return [_make_key(keys / name) for name in names]


def _make_key(path: Path) -> CryptoSigner:
    from securesystemslib.signer import CryptoSigner

    if path.exists():
        return read_key(path)
    signer = CryptoSigner.generate_ed25519()
    write_atomic(path, signer.private_bytes, mode=0o600)
    return signer


def read_key(path: Path) -> CryptoSigner:
    """Read one private key.

    Raises:
        RepositoryError: when the file is not a private key, or others may read it.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from securesystemslib.signer import CryptoSigner

    try:
        data = path.read_bytes()
    except OSError as error:
        raise RepositoryError(f"{path}: {error.strerror}; run as the owner of this key") from None
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise RepositoryError(f"{path}: others may read this key; run `chmod 600 {path}`")
    try:
        return CryptoSigner(load_pem_private_key(data, None))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise RepositoryError(
            f"{path}: not a private key that is understood here (PEM, not encrypted);"
            " restore it from its backup"
        ) from None


def signers(
    keys: Path | None, role: str, keyids: Collection[str], threshold: int
) -> list[CryptoSigner]:
    """The signers of a role, checked against the keys that the repository trusts.

    Raises:
        RepositoryError: naming the key file and what to do.
    """
    if keys is None:
        raise RepositoryError(f"signing needs the key of '{role}'; name its folder with --keys")
    files = key_files(keys, role)
    if not files:
        raise RepositoryError(
            f"{keys / f'{role}.pem'}: is missing; only its holder can do this,"
            f" copy the key here (mode 600) or name its folder with --keys"
        )
    found = [signer for path in files if (signer := read_key(path)).public_key.keyid in keyids]
    if len(found) < threshold:
        names = ", ".join(str(path) for path in files)
        raise RepositoryError(
            f"{names}: {len(found)} of {threshold} keys that this repository trusts for '{role}';"
            " use the keys of the `repo init` that made it"
        )
    return found
