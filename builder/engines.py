"""Engines of a bundle's variants, compiled on the building machine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from builder.progress import Progress
from edge_agent.bundle import Bundle, Variant
from edge_agent.engines.child import build, key_of
from edge_agent.engines.compile import MAX_BATCH, WORKSPACE_MB, Request
from edge_agent.engines.shelf import Shelf
from edge_agent.errors import UsageError


@dataclass(frozen=True)
class EngineOptions:
    """What to compile.

    Attributes:
        kind: ``tensorrt`` or ``trt-rtx``.
        capabilities: compute capabilities for ``trt-rtx``; empty for the GPU of this machine.
        workspace_mb: scratch memory that an engine may use.
        memory_mb: resident memory (MiB) of the compiling process, 0 for no limit.
        variants: names of those to compile; empty for all that are for a GPU.
    """

    kind: str
    capabilities: tuple[str, ...] = ()
    workspace_mb: int = WORKSPACE_MB
    memory_mb: int = 0
    variants: tuple[str, ...] = ()


@dataclass(frozen=True)
class Compiled:
    """An engine that lies beside the bundle; ``fresh`` when it was not there before."""

    variant: str
    capability: str
    path: Path
    size: int
    fresh: bool


def parse_capabilities(text: str) -> tuple[str, ...]:
    """Read ``8.6,8.9``.

    Raises:
        UsageError: naming what is not a compute capability.
    """
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if not re.fullmatch(r"\d{1,2}\.\d", name):
            raise UsageError(f"compute capability {name!r}: write it like 8.6, several with commas")
    return names


def engine_options(kind: str | None, capabilities: str | None) -> EngineOptions | None:
    """What a command was told, as options; None when nothing is to be compiled.

    Raises:
        UsageError: capabilities without an engine, or for one that takes none.
    """
    if kind is None and capabilities:
        raise UsageError("--compute-capability goes with --engine trt-rtx")
    if kind == "tensorrt" and capabilities:
        raise UsageError("--engine tensorrt compiles for the GPU of this machine, no named one")
    if kind is None:
        return None
    return EngineOptions(kind, parse_capabilities(capabilities) if capabilities else ())


def compile_variants(bundle: Bundle, options: EngineOptions, tell: Progress) -> list[Compiled]:
    """Compile the variants that are for a GPU, for every capability; what is there is kept.

    Args:
        bundle: its ``engines`` folder is filled.
        options: what to compile.
        tell: hears of each phase.

    Raises:
        ModelError: the module or the GPU is not there, or an engine cannot be built.
        StorageError: the disk refuses.
        UsageError: a variant that the bundle does not have for a GPU.
    """
    there = {one.id: one for one in bundle.manifest.variants if one.precision != "int8-cpu"}
    if unknown := [name for name in options.variants if name not in there]:
        raise UsageError(
            f"{bundle.root}: has no variant {unknown[0]!r} for a GPU; there are {', '.join(there)}"
        )
    return [
        _compile(bundle, there[name], capability, options, tell)
        for name in options.variants or there
        for capability in options.capabilities or ("",)
    ]


def _compile(
    bundle: Bundle, variant: Variant, capability: str, options: EngineOptions, tell: Progress
) -> Compiled:
    manifest, shelf = bundle.manifest, Shelf(bundle.root)
    request = Request(
        precision=variant.precision,
        capability=capability,
        shape=(1, 3, manifest.input.height, manifest.input.width),
        max_batch=MAX_BATCH if manifest.free_batch else 1,
        workspace_mb=options.workspace_mb,
    )
    key = key_of(options.kind, manifest.entry(variant.path).sha256, request)
    title = f"{variant.id} for {key.capability} by {key.module} {key.version}"
    path = shelf.find(key)
    if path is not None:
        tell.say(f"engine: {title}: is there already")
        return Compiled(variant.id, key.capability, path, path.stat().st_size, fresh=False)
    engine = build(
        options.kind,
        bundle.path(variant.path),
        request,
        timing_cache=shelf.timing_cache,
        memory_mb=options.memory_mb,
        tell=lambda phase: tell.say(f"engine: {title}: {phase}"),
    )
    path = shelf.put(key, variant.id, engine.plan)
    if not capability:
        shelf.keep_timings(engine.timing_cache)
    tell.say(f"engine: {title}: {len(engine.plan) / 1e6:.1f} MB")
    return Compiled(variant.id, key.capability, path, len(engine.plan), fresh=True)


def shown(compiled: Sequence[Compiled], root: Path) -> list[dict[str, object]]:
    """The engines as a table for ``--json``."""
    return [
        {
            "variant": one.variant,
            "compute_capability": one.capability,
            "path": one.path.relative_to(root).as_posix(),
            "size": one.size,
            "fresh": one.fresh,
        }
        for one in compiled
    ]
