"""Starts `builder.torch_worker`, and puts what it says into one line."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from edge_agent.errors import ModelError

TIMEOUT_S = 900.0
MISSING = "PyTorch is not installed, `pip install outpost-edge[reference]`"
_ENVIRONMENT = {
    "ULTRALYTICS_SAFE_LOAD": "1",
    "YOLO_AUTOINSTALL": "false",  # it would install packages by itself
    "YOLO_OFFLINE": "true",
    "YOLO_VERBOSE": "false",
    "OMP_WAIT_POLICY": "PASSIVE",  # on a busy machine spinning threads cost more than the work
}


def torch_available() -> bool:
    """Whether the ``reference`` extra is installed (nothing is imported)."""
    return all(find_spec(name) is not None for name in ("torch", "ultralytics"))


def run_worker(
    verb: str, checkpoint: Path, *arguments: str | Path, folder: Path, result: Path, advice: str
) -> None:
    """Run one verb of the worker.

    Args:
        verb: ``run``, ``layers`` or ``export``.
        checkpoint: a file that the restricted reader has accepted.
        arguments: of the verb, after the checkpoint.
        folder: where ultralytics may keep its settings; nothing else is its home.
        result: the file that must be there afterwards.
        advice: what to do when it fails, for the message.

    Raises:
        ModelError: it failed, with its last line, or took longer than `TIMEOUT_S`.
    """
    try:
        done = subprocess.run(
            command(verb, checkpoint, *arguments), env=environment(folder), cwd=folder,
            capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise too_late(checkpoint, advice) from None
    if done.returncode or not result.exists():
        raise failed(verb, checkpoint, done.stderr, done.returncode, advice)


def command(verb: str, checkpoint: Path, *arguments: str | Path) -> list[str]:
    """The command line of one verb of the worker."""
    start = [sys.executable, "-m", "builder.torch_worker", verb]
    return [*start, str(checkpoint.absolute()), *map(str, arguments)]


def environment(folder: Path) -> dict[str, str]:
    """The worker's environment; ultralytics keeps its settings in the folder."""
    paths = [str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ, **_ENVIRONMENT, "YOLO_CONFIG_DIR": str(folder),
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
    }  # fmt: skip


def too_late(checkpoint: Path, advice: str) -> ModelError:
    """The worker gave no answer in `TIMEOUT_S`."""
    return ModelError(
        f"{checkpoint}: PyTorch gave no answer in {TIMEOUT_S:.0f} s; {advice}, or use a faster"
        " machine"
    )


def failed(verb: str, checkpoint: Path, stderr: str, code: int | None, advice: str) -> ModelError:
    """The worker's last line, or how it ended where it said nothing."""
    lines = stderr.strip().splitlines() or [f"exit code {code}"]
    return ModelError(f"{checkpoint}: PyTorch cannot {verb} it: {lines[-1][:300]}; {advice}")
