"""An OpenSSF model signature beside a bundle, which the public ``model_signing`` command verifies.

It is for people outside of the fleet, such as an auditor or a customer: devices trust the signed
release repository and never look at it. The signature covers every file of the folder except the
cache of engines, so it lies beside it; a bundle holds nothing that its manifest does not list.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from edge_agent.atomic import write_atomic
from edge_agent.bundle import Bundle
from edge_agent.errors import UsageError, storage_errors

_CURVES = ("secp256r1", "secp384r1", "secp521r1")


def sign(bundle: Bundle, key: Path, output: Path) -> None:
    """Sign a bundle with an elliptic-curve key.

    Args:
        bundle: its hashes are checked first.
        key: PEM file, not encrypted; on one of the curves P-256, P-384, P-521.
        output: of the signature (a Sigstore bundle in JSON); outside of the bundle.

    Raises:
        UsageError: the ``provenance`` extra is not installed, or the key does not fit.
        BundleError: the bundle is damaged.
    """
    try:
        from model_signing import hashing, signing
    except ImportError as error:
        raise UsageError(
            f"model-signing is not installed ({error}); `pip install outpost-edge[provenance]`"
        ) from None
    _check_key(key)
    if bundle.root.resolve() in output.resolve().parents:
        raise UsageError(f"{output}: lies inside the bundle; choose another -o")
    bundle.verify()
    part = output.with_name(f".{output.name}.{secrets.token_hex(4)}.tmp")
    with storage_errors(output):
        try:
            config = signing.Config().use_elliptic_key_signer(private_key=key)
            # Engines are a cache of the machine they lie on, in no manifest (docs/formats.md).
            hashed = hashing.Config().set_ignored_paths(paths=["engines"])
            config.set_hashing_config(hashed).sign(bundle.root, part)
            write_atomic(output, part.read_bytes())
        finally:
            part.unlink(missing_ok=True)


def make_key(key: Path) -> Path:
    """Make a private key on P-256 (mode 600) and its public half beside it.

    Returns:
        The public key's file, ``KEY.pub``.

    Raises:
        UsageError: there is a key already.
    """
    from cryptography.hazmat.primitives import serialization as to
    from cryptography.hazmat.primitives.asymmetric import ec

    if key.exists():
        raise UsageError(f"{key}: is there already; sign without --make-key, or name another")
    private = ec.generate_private_key(ec.SECP256R1())
    secret = private.private_bytes(to.Encoding.PEM, to.PrivateFormat.PKCS8, to.NoEncryption())
    public = key.with_name(f"{key.name}.pub")
    with storage_errors(key):
        key.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(key, secret, mode=0o600)
        write_atomic(
            public,
            private.public_key().public_bytes(
                to.Encoding.PEM, to.PublicFormat.SubjectPublicKeyInfo
            ),
        )
    return public


def _check_key(key: Path) -> None:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        data = key.read_bytes()
    except OSError as error:
        raise UsageError(f"{key}: {error.strerror}; make one with --make-key") from None
    if os.name == "posix" and key.stat().st_mode & 0o077:
        raise UsageError(f"{key}: others may read this key; run `chmod 600 {key}`")
    try:
        private = load_pem_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UsageError(f"{key}: not a private key in PEM, or an encrypted one") from None
    if not isinstance(private, EllipticCurvePrivateKey) or private.curve.name not in _CURVES:
        raise UsageError(
            f"{key}: not a key on P-256, P-384 or P-521, the ones that model_signing verifies;"
            " make one with --make-key"
        )
