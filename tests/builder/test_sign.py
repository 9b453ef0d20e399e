"""OpenSSF model signatures, verified by the public command."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from builder.cli import main

pytest.importorskip("model_signing", reason="needs the provenance extra")


def public_command(bundle: Path, signature: Path, key: Path) -> subprocess.CompletedProcess:
    """``model_signing verify key``, as somebody without Outpost runs it."""
    command = [sys.executable, "-m", "model_signing", "verify", "key", str(bundle)]
    command += ["--signature", str(signature), "--public_key", str(key)]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_public_command_verifies_a_bundle(bundle, tmp_path, capsys):
    """Signed, moved to another name, verified; a changed byte is noticed."""
    copy, key = tmp_path / "squares-1", tmp_path / "keys" / "model.pem"
    shutil.copytree(bundle.root, copy)
    assert main(["sign", str(copy), "--key", str(key), "--make-key"]) == 0
    assert "model_signing verify key" in capsys.readouterr().out
    signature, public = tmp_path / "squares-1.sig", tmp_path / "keys" / "model.pem.pub"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert main(["verify", str(copy)]) == 0  # the bundle itself is as it was
    copy = copy.rename(tmp_path / "received")
    done = public_command(copy, signature, public)
    assert done.returncode == 0, done.stderr
    model = copy / "model" / "fp32.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"x")
    assert public_command(copy, signature, public).returncode != 0


def test_engines_are_not_signed(bundle, tmp_path, capsys):
    """A cache of engines may come, change and go; the signature still holds."""
    copy, key = tmp_path / "squares-1", tmp_path / "model.pem"
    shutil.copytree(bundle.root, copy)
    engine = copy / "engines" / ("0" * 32) / "model.engine"
    engine.parent.mkdir(parents=True)
    engine.write_bytes(b"plan")
    assert main(["sign", str(copy), "--key", str(key), "--make-key"]) == 0
    given = copy, tmp_path / "squares-1.sig", tmp_path / "model.pem.pub"
    assert public_command(*given).returncode == 0
    engine.write_bytes(b"another plan")
    assert public_command(*given).returncode == 0
    shutil.rmtree(copy / "engines")
    assert public_command(*given).returncode == 0


def test_keys_that_do_not_fit(bundle, tmp_path, capsys):
    """No key, one that others may read, another kind, one that is there: a line each, exit 2."""
    sign = ["sign", str(bundle.root), "-o", str(tmp_path / "s"), "--key"]
    key = tmp_path / "key.pem"
    assert main([*sign, str(key)]) == 2
    assert "make one with --make-key" in capsys.readouterr().err
    key.write_text("no key")
    key.chmod(0o644)
    assert main([*sign, str(key)]) == 2
    assert "chmod 600" in capsys.readouterr().err
    key.chmod(0o600)
    assert main([*sign, str(key)]) == 2
    assert "not a private key in PEM" in capsys.readouterr().err
    assert main([*sign, str(key), "--make-key"]) == 2
    assert "is there already" in capsys.readouterr().err
    from securesystemslib.signer import CryptoSigner

    key.write_bytes(CryptoSigner.generate_ed25519().private_bytes)
    assert main([*sign, str(key)]) == 2
    assert "not a key on P-256" in capsys.readouterr().err
    assert [one.name for one in tmp_path.iterdir()] == ["key.pem"]


def test_signature_inside_the_bundle_is_refused(bundle, tmp_path, capsys):
    """A bundle holds nothing that its manifest does not list."""
    inside = str(bundle.root / "model.sig")
    key = str(tmp_path / "key.pem")
    assert main(["sign", str(bundle.root), "--key", key, "--make-key", "-o", inside]) == 2
    assert "inside the bundle" in capsys.readouterr().err
    assert not Path(inside).exists()


def test_without_the_package(bundle, tmp_path, monkeypatch, capsys):
    """One line that names the extra."""
    monkeypatch.setitem(sys.modules, "model_signing", None)
    key = str(tmp_path / "key.pem")
    assert main(["sign", str(bundle.root), "--key", key]) == 2
    assert "pip install outpost-edge[provenance]" in capsys.readouterr().err
