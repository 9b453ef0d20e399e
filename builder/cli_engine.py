"""``edge-builder compile``: engines for a bundle that is there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import click

ENGINES = ("tensorrt", "trt-rtx")


@click.command("compile")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default="tensorrt",
    show_default=True,
    help="tensorrt: the GPU of this machine; trt-rtx: named GPUs, without one.",
)
@click.option("--compute-capability", help="For trt-rtx, like 8.6,8.9.")
@click.option("--variant", multiple=True, help="Only this one, like fp16; several times [all].")
@click.option(
    "--workspace-mb", default=1024, show_default=True, help="Scratch memory of an engine."
)
@click.option(
    "--memory-mb", default=0, help="End the compiling process above so much memory [no limit]."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def compile_command(
    bundle: Path,
    engine: str,
    compute_capability: str | None,
    variant: tuple[str, ...],
    workspace_mb: int,
    memory_mb: int,
    as_json: bool,
) -> None:
    """Compile the variants of BUNDLE into its engines folder, which is no part of it.

    All are tried; ends with exit code 5 when one of them cannot be compiled, and keeps the others.
    """
    from builder.engines import compile_variants, engine_options
    from builder.progress import Terminal
    from edge_agent.bundle import Bundle
    from edge_agent.checked import plural
    from edge_agent.errors import ModelError

    opened = Bundle.open(bundle)
    opened.verify()
    options = engine_options(engine, compute_capability)
    assert options is not None
    options = replace(options, workspace_mb=workspace_mb, memory_mb=memory_mb, variants=variant)
    engines = compile_variants(opened, options, Terminal())
    if as_json:
        print(json.dumps({"bundle": str(bundle), **engines.document()}, indent=2))
    else:
        print(f"{bundle}: {plural(len(engines.made), 'engine')} in {opened.root / 'engines'}")
    if engines.failed:
        raise ModelError(f"{bundle}: {engines.reasons()}")
