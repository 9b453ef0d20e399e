"""``edge-builder inspect`` and ``diff``: what a bundle is, and what changed between two."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

_PATH = click.Path(path_type=Path)
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")


@click.command()
@click.argument("bundle", type=_PATH)
@click.option("--html", type=_PATH, help="Write one self-contained page with the golden frames.")
@_JSON
def inspect(bundle: Path, html: Path | None, as_json: bool) -> None:
    """Show what BUNDLE is, where it comes from and how it was proven."""
    from builder.inspect import describe, render
    from edge_agent.bundle import Bundle

    opened = Bundle.open(bundle)
    if html is not None:
        from builder.page import render_page
        from edge_agent.atomic import write_atomic

        opened.verify()
        write_atomic(html, render_page(opened).encode())
    print(_json(describe(opened)) if as_json else render(opened))


@click.command()
@click.argument("first", type=_PATH)
@click.argument("second", type=_PATH)
@_JSON
def diff(first: Path, second: Path, as_json: bool) -> None:
    """Say what changed from bundle FIRST to bundle SECOND.

    Classes, contracts, variants and their proof, golden results, profile (PSI per feature), origin,
    files. Ends with 0 whether they differ or not.
    """
    from builder.diff import difference
    from edge_agent.bundle import Bundle
    from edge_agent.console import table

    bundles = [Bundle.open(path) for path in (first, second)]
    for bundle in bundles:
        bundle.verify()
    found = difference(*bundles)
    if as_json:
        ends = {
            key: {"name": one.manifest.name, "version": one.manifest.version,
                  "digest": one.manifest.digest}
            for key, one in zip(("first", "second"), bundles, strict=True)
        }  # fmt: skip
        print(_json(ends | found.document()))
    elif found.changes:
        print(table(("what", "change"), [[one.area, one.text] for one in found.changes]))
    else:
        print(f"{first} and {second} are the same release, digest {bundles[0].manifest.digest}")


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False)
