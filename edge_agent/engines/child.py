"""An engine build in a process of its own: ``python -m edge_agent.engines.child FOLDER``.

Builds take minutes on small boards and have run out of memory there; the agent serves the old model
meanwhile, so the build must not take it along. The folder holds ``request.json`` and
``timing.cache``; the child writes ``model.engine`` and ``timing.cache``, one JSON line per phase on
stdout, and its reason, when it refuses, as the last one.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edge_agent.engines import modules
from edge_agent.engines.compile import Engine, Request, compile_engine
from edge_agent.engines.key import EngineKey, engine_key
from edge_agent.engines.shelf import PLAN, TIMING
from edge_agent.errors import ModelError, OutpostError

TIMEOUT_S = 3600.0
_REQUEST = "request.json"


def key_of(kind: str, onnx_sha256: str, request: Request) -> EngineKey:
    """The key that an engine of this request has on this machine.

    Raises:
        ModelError: the module is not installed, or there is no GPU and no capability was named.
    """
    version = str(modules.load(kind).__version__)
    return engine_key(kind, version, gpu_for(kind, request.capability), onnx_sha256, request)


def gpu_for(kind: str, capability: str) -> modules.Gpu | None:
    """The GPU of this machine, or None where a capability is named and none is needed.

    Raises:
        ModelError: neither is there.
    """
    gpu = None if capability else modules.this_gpu()
    if gpu is None and not capability:
        raise ModelError(
            f"{kind}: no NVIDIA GPU is found on this machine; name a compute capability with"
            " trt-rtx, or build where the GPU is"
        )
    return gpu


def build(
    kind: str,
    model: Path,
    request: Request,
    *,
    timing_cache: bytes = b"",
    memory_mb: int = 0,
    timeout_s: float = TIMEOUT_S,
    tell: Callable[[str], None] = lambda phase: None,
) -> Engine:
    """Build an engine in a child process.

    Args:
        kind: ``tensorrt`` or ``trt-rtx``.
        model: the variant's file.
        request: what to build.
        timing_cache: of the last build here.
        memory_mb: the child's limit, 0 for none.
        timeout_s: after which it is ended.
        tell: hears of each phase.

    Raises:
        ModelError: it could not be built, with the reason.
    """
    with tempfile.TemporaryDirectory(prefix="outpost-engine-") as scratch:
        folder = Path(scratch)
        (folder / TIMING).write_bytes(timing_cache)
        table = {"kind": kind, "model": str(model), "memory_mb": memory_mb, **asdict(request)}
        (folder / _REQUEST).write_text(json.dumps(table), encoding="utf-8")
        reason = _run(folder, timeout_s, tell)
        if reason is not None:
            raise ModelError(f"{model}: {kind}: {reason}")
        return Engine((folder / PLAN).read_bytes(), (folder / TIMING).read_bytes())


def _run(folder: Path, timeout_s: float, tell: Callable[[str], None]) -> str | None:
    """Why the child made no engine, None when it did."""
    command = [sys.executable, "-m", "edge_agent.engines.child", str(folder)]
    late = threading.Event()
    refusal: str | None = None
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True, errors="replace",
    ) as child:  # fmt: skip

        def end() -> None:
            late.set()
            child.kill()

        timer = threading.Timer(timeout_s, end)
        timer.start()
        try:
            assert child.stdout is not None
            for line in child.stdout:
                message = _message(line)
                refusal = message.get("refused", refusal)
                if phase := message.get("phase"):
                    tell(str(phase))
        except BaseException:
            child.kill()  # Ctrl-C, SIGTERM: nothing goes on compiling behind our back
            raise
        finally:
            timer.cancel()
    if late.is_set():
        return f"not done after {timeout_s:.0f} s"
    if child.returncode < 0 and refusal is None:
        return f"ended by signal {-child.returncode}; it may have run out of memory"
    if child.returncode and refusal is None:
        return f"ended with exit code {child.returncode}"
    return refusal


def _message(line: str) -> dict[str, Any]:
    """One line of the child; libraries print what they like in between."""
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def main(arguments: Sequence[str]) -> int:
    """The child: 0 when the engine is made, else 5 and the reason on stdout."""
    folder = Path(arguments[0])
    table = json.loads((folder / _REQUEST).read_text(encoding="utf-8"))
    kind, model, memory_mb = table.pop("kind"), Path(table.pop("model")), table.pop("memory_mb")
    request = Request(**{**table, "shape": tuple(table["shape"])})
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what TensorRT prints itself is not a message
    try:
        engine = _build_here(kind, model, request, (folder / TIMING).read_bytes(), memory_mb, out)
    except (OutpostError, MemoryError, OSError) as error:
        reason = str(error)
        if isinstance(error, MemoryError):
            reason = f"needs more memory than {memory_mb} MB"
        print(json.dumps({"refused": reason}), file=out)
        return ModelError.exit_code
    (folder / PLAN).write_bytes(engine.plan)
    (folder / TIMING).write_bytes(engine.timing_cache)
    return 0


def _build_here(
    kind: str, model: Path, request: Request, cache: bytes, memory_mb: int, out: Any
) -> Engine:
    from edge_agent.detection.selftest import limit_memory

    trt = modules.load(kind)
    if memory_mb:
        limit_memory(memory_mb)
    else:  # the self-test's own limit is about running the model, not about building for it
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))

    def tell(phase: str) -> None:
        print(json.dumps({"phase": phase}), file=out)

    return compile_engine(trt, model.read_bytes(), request, cache, tell)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
