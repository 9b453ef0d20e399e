"""Why an execution provider did not start: ONNX Runtime only prints it, so a child is asked.

``python -m edge_agent.backends.probe MODEL PROVIDER``. Runs only after a provider failed to start.
`preload` is what can be done before.
"""

from __future__ import annotations

import importlib
import io
import re
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

TIMEOUT_S = 60.0
_MOST = 300
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_ERROR = "[E:onnxruntime"
_HEAD = re.compile(r"^.*(?:with error: |FAIL : |\] )")


def ask(model: Path, provider: str) -> str:
    """What ONNX Runtime prints when it opens ``model`` on ``provider``, in one line, or ""."""
    command = [sys.executable, "-m", "edge_agent.backends.probe", str(model), provider]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            timeout=TIMEOUT_S, check=False, text=True, errors="replace",
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return reason(done.stderr)


def reason(printed: str) -> str:
    """The first error in what was printed, without its place in the source; "" for none."""
    lines = [line for line in _ANSI.sub("", printed).splitlines() if line.strip()]
    found = [line for line in lines if _ERROR in line]
    if not found and any(line.startswith("Traceback") for line in lines):
        found = lines[-1:]
    text = " ".join(_HEAD.sub("", found[0]).split()) if found else ""
    return text if len(text) <= _MOST else text[: _MOST - 3] + "..."


def preload(ort: Any, provider: str) -> None:
    """Load the CUDA, cuDNN and TensorRT libraries that pip puts where no linker looks.

    Where they come from the system there is nothing to do, and what cannot be loaded is told by the
    provider that wants it; what is printed here is dropped.
    """
    load = getattr(ort, "preload_dlls", None)
    if load is not None:
        with redirect_stdout(io.StringIO()):
            load()
    if provider.startswith("Tensorrt"):
        with suppress(ImportError):
            importlib.import_module("tensorrt")


def main(arguments: Sequence[str]) -> int:
    """The child: opens the model and lets ONNX Runtime talk."""
    import onnxruntime

    model, provider = arguments
    preload(onnxruntime, provider)
    onnxruntime.InferenceSession(model, providers=[provider], enable_fallback=0)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
