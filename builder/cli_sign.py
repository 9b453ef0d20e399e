"""``edge-builder sign``: a signature for people outside of the fleet."""

from __future__ import annotations

from pathlib import Path

import click

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("bundle", type=_PATH)
@click.option("--key", type=_PATH, required=True, help="Private key on P-256 (PEM, mode 600).")
@click.option("--make-key", is_flag=True, help="Make the key first, and KEY.pub beside it.")
@click.option("-o", "--output", type=_PATH, help="The signature [BUNDLE.sig, beside the bundle].")
def sign(bundle: Path, key: Path, make_key: bool, output: Path | None) -> None:
    """Sign BUNDLE as an OpenSSF model, for anybody to verify (extra: provenance).

    Devices need none of it: they trust the release repository, where `publish` signs.
    """
    from builder import openssf
    from edge_agent.bundle import Bundle

    opened = Bundle.open(bundle)
    public = openssf.make_key(key) if make_key else key.with_name(f"{key.name}.pub")
    root = bundle.resolve()
    signature = output or root.with_name(f"{root.name}.sig")
    openssf.sign(opened, key, signature)
    print(
        f"{signature}: verify it with\n"
        f"model_signing verify key {bundle} --signature {signature} --public_key {public}"
    )
