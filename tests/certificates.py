"""A certificate authority for tests: made in a second, valid for an hour, never committed."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def make_certificates(folder: Path, *, device: str) -> Path:
    """Write ca.pem, server.pem/.key (for 127.0.0.1) and device.pem/.key; returns the folder.

    ``old-server`` and ``old-device`` are the same, but expired a minute ago.
    """
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca = _certificate("test CA", ca_key.public_key(), "test CA", ca_key, ca=True)
    _write(folder / "ca.pem", ca)
    for name, subject in (
        ("server", "127.0.0.1"),
        ("device", device),
        ("old-server", "127.0.0.1"),
        ("old-device", device),
    ):
        key = ec.generate_private_key(ec.SECP256R1())
        minutes = -1 if name.startswith("old-") else 60
        certificate = _certificate(subject, key.public_key(), "test CA", ca_key, minutes=minutes)
        _write(folder / f"{name}.pem", certificate)
        (folder / f"{name}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
    return folder


def _write(path: Path, certificate: x509.Certificate) -> None:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _certificate(subject, public_key, issuer, issuer_key, *, ca=False, minutes=60):
    now = datetime.datetime.now(datetime.timezone.utc)
    local = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(minutes=minutes))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([local]), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
