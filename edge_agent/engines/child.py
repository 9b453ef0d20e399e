"""An engine build in a process of its own: ``python -m edge_agent.engines.child FOLDER``.

Builds take minutes on small boards and have run out of memory there; the agent serves the old model
meanwhile, so the build must not take it along: what is resident of the child is watched (limits of
the kernel count addresses, and CUDA reserves far more of them than it uses), and where the machine
itself runs out, the kernel shall choose the child. The folder holds ``request.json`` and
``timing.cache``; the child writes ``model.engine`` and ``timing.cache``, one JSON line per phase on
stdout, and its reason, when it refuses, as the last one.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
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
_POLL_S = 0.05
_FIRST_TO_GO = "1000"
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
        memory_mb: resident memory (MiB) above which it is ended, 0 for no limit.
        timeout_s: after which it is ended.
        tell: hears of each phase.

    Raises:
        ModelError: it could not be built, with the reason.
    """
    with tempfile.TemporaryDirectory(prefix="outpost-engine-") as scratch:
        folder = Path(scratch)
        (folder / TIMING).write_bytes(timing_cache)
        table = {"kind": kind, "model": str(model), **asdict(request)}
        (folder / _REQUEST).write_text(json.dumps(table), encoding="utf-8")
        reason = _run(folder, memory_mb, timeout_s, tell)
        if reason is not None:
            raise ModelError(f"{model}: {kind}: {reason}")
        return Engine((folder / PLAN).read_bytes(), (folder / TIMING).read_bytes())


class _Guard(threading.Thread):
    """Ends a child that takes too much memory or time.

    Attributes:
        reason: why it was ended, "" when it was not.
    """

    def __init__(self, child: subprocess.Popen[str], memory_mb: int, timeout_s: float) -> None:
        super().__init__(name="engine-guard", daemon=True)
        self.reason = ""
        self._child = child
        self._memory_mb = memory_mb
        self._timeout_s = timeout_s
        self._over = threading.Event()

    def run(self) -> None:
        """Look every `_POLL_S` seconds, until the child's end."""
        deadline = time.monotonic() + self._timeout_s
        while not self._over.wait(_POLL_S):
            taken_mb = _resident_mb(self._child.pid) if self._memory_mb else 0.0
            if taken_mb > self._memory_mb:
                self.reason = (
                    f"needs more memory than {self._memory_mb} MB: it was ended at {taken_mb:.0f};"
                    " allow it more, or build where there is more"
                )
            elif time.monotonic() > deadline:
                self.reason = f"not done after {self._timeout_s:.0f} s"
            if self.reason:
                self._child.kill()
                return

    def close(self) -> None:
        """The child's output has ended."""
        self._over.set()
        self.join()


def _resident_mb(pid: int) -> float:
    """Resident memory of a process in MiB; 0 once it has ended."""
    import psutil

    try:
        return float(psutil.Process(pid).memory_info().rss / 2**20)
    except psutil.Error:
        return 0.0


def _run(folder: Path, memory_mb: int, timeout_s: float, tell: Callable[[str], None]) -> str | None:
    """Why the child made no engine, None when it did."""
    command = [sys.executable, "-m", "edge_agent.engines.child", str(folder)]
    refusal: str | None = None
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True, errors="replace",
    ) as child:  # fmt: skip
        guard = _Guard(child, memory_mb, timeout_s)
        guard.start()
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
            guard.close()
    if guard.reason:
        return guard.reason
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
    kind, model = table.pop("kind"), Path(table.pop("model"))
    request = Request(**{**table, "shape": tuple(table["shape"])})
    with contextlib.suppress(OSError):  # not Linux
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO, encoding="ascii")
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what TensorRT prints itself is not a message
    try:
        engine = _build_here(kind, model, request, (folder / TIMING).read_bytes(), out)
    except (OutpostError, MemoryError, OSError) as error:
        reason = "needs more memory than there is" if isinstance(error, MemoryError) else str(error)
        print(json.dumps({"refused": reason}), file=out)
        return ModelError.exit_code
    (folder / PLAN).write_bytes(engine.plan)
    (folder / TIMING).write_bytes(engine.timing_cache)
    return 0


def _build_here(kind: str, model: Path, request: Request, cache: bytes, out: Any) -> Engine:
    trt = modules.load(kind)

    def tell(phase: str) -> None:
        print(json.dumps({"phase": phase}), file=out)

    return compile_engine(trt, model.read_bytes(), request, cache, tell)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
