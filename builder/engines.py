"""Engines of a bundle's variants, compiled on the building machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from builder.progress import Progress
from builder.reason import reason
from edge_agent.bundle import Bundle, Variant
from edge_agent.console import table
from edge_agent.engines.child import build, gpu_for, key_of
from edge_agent.engines.compile import MAX_BATCH, WORKSPACE_MB, Request
from edge_agent.engines.modules import load
from edge_agent.engines.names import known_capabilities
from edge_agent.engines.shelf import Shelf
from edge_agent.errors import ModelError, UsageError


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


@dataclass(frozen=True)
class Failed:
    """An engine that could not be built, and why."""

    variant: str
    capability: str
    why: str


@dataclass(frozen=True)
class Engines:
    """What came of every variant for every capability.

    Attributes:
        root: folder of the bundle, for paths.
    """

    root: Path
    made: list[Compiled]
    failed: list[Failed]

    def document(self) -> dict[str, list[dict[str, object]]]:
        """``engines`` and ``engines_left_out`` for ``--json``."""
        return {
            "engines": [
                {
                    "variant": one.variant,
                    "compute_capability": one.capability,
                    "path": one.path.relative_to(self.root).as_posix(),
                    "size": one.size,
                    "fresh": one.fresh,
                }
                for one in self.made
            ],
            "engines_left_out": [
                {"variant": one.variant, "compute_capability": one.capability, "why": one.why}
                for one in self.failed
            ],
        }

    def render(self) -> str:
        """A table for a person."""
        rows: list[list[object]] = [
            [one.variant, one.capability, f"{one.size / 1e6:.1f}", "built" if one.fresh else "kept"]
            for one in self.made
        ]
        rows += [[one.variant, one.capability, None, f"failed: {one.why}"] for one in self.failed]
        return table(["variant", "GPU", "MB", "engine"], rows)

    def reasons(self) -> str:
        """What failed and why, in one line."""
        return "; ".join(f"{one.variant} for {one.capability}: {one.why}" for one in self.failed)


def parse_capabilities(text: str) -> tuple[str, ...]:
    """Read ``8.6,8.9``.

    Raises:
        UsageError: naming what is not a compute capability.
    """
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if not re.fullmatch(r"\d{1,2}\.\d", name):
            raise UsageError(
                f"--compute-capability {name!r}: write it like 8.6, several with commas"
            )
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


def check_engines(options: EngineOptions) -> None:
    """Fail for what no engine could be built for, before anything is done.

    Raises:
        ModelError: the module or the GPU is not there.
        UsageError: a capability that the module does not know, with those that it does.
    """
    known = known_capabilities(load(options.kind))
    for name in options.capabilities:
        if name not in known:
            raise UsageError(
                f"--compute-capability {name}: {options.kind} has no such one; there are"
                f" {', '.join(known) or 'none'}"
            )
    if not options.capabilities:
        gpu_for(options.kind, "")


def compile_variants(bundle: Bundle, options: EngineOptions, tell: Progress) -> Engines:
    """Compile the variants that are for a GPU, for every capability; what is there is kept.

    One that fails does not stop the others; the table at the end says which and why.

    Args:
        bundle: its ``engines`` folder is filled.
        options: what to compile.
        tell: hears of each phase, and of the table.

    Raises:
        ModelError: the module or the GPU is not there.
        StorageError: the disk refuses.
        UsageError: a variant that the bundle does not have for a GPU, or no such capability.
    """
    there = {one.id: one for one in bundle.manifest.variants if one.precision != "int8-cpu"}
    if unknown := [name for name in options.variants if name not in there]:
        raise UsageError(
            f"{bundle.root}: has no variant {unknown[0]!r} for a GPU; there are {', '.join(there)}"
        )
    check_engines(options)
    engines = Engines(bundle.root, [], [])
    for name in options.variants or there:
        for capability in options.capabilities or ("",):
            try:
                engines.made.append(_compile(bundle, there[name], capability, options, tell))
            except ModelError as error:
                why = reason(error, bundle.root)
                engines.failed.append(Failed(name, capability or "this GPU", why))
    tell.say(engines.render())
    for one in engines.failed:
        tell.warn(f"the engine of {one.variant} for {one.capability} is left out: {one.why}")
    return engines


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
