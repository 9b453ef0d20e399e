"""The proof: the graph against the original in PyTorch, on the golden frames.

Raw outputs are compared, so that no threshold can hide a difference. Boxes are pixels of the tensor
and are taken relative to the largest one; scores are probabilities and are taken as they are.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_agent.decode import Floats
from edge_agent.errors import ModelError

LIMIT = 1e-5
PROVABLE = ("yolov5u",)
"""Heads whose checkpoints the installed ultralytics can load."""

TIMEOUT_S = 900.0
_ENVIRONMENT = {
    "ULTRALYTICS_SAFE_LOAD": "1",
    "YOLO_AUTOINSTALL": "false",
    "YOLO_OFFLINE": "true",
    "YOLO_VERBOSE": "false",
    "OMP_WAIT_POLICY": "PASSIVE",  # on a busy machine spinning threads cost more than the work
}


@dataclass(frozen=True)
class Parity:
    """How far the graph is from PyTorch on the golden frames.

    Attributes:
        frames: compared.
        box: largest difference of a box value, relative to the largest one.
        score: largest difference of a score.
    """

    frames: int
    box: float
    score: float

    @property
    def worst(self) -> float:
        """The larger of the two."""
        return max(self.box, self.score)

    def document(self) -> dict[str, object]:
        """The manifest's ``variants[].parity``; three digits, so that machines agree."""
        return {
            "reference": "pytorch",
            "frames": self.frames,
            "max_relative_box_difference": float(f"{self.box:.2e}"),
            "max_score_difference": float(f"{self.score:.2e}"),
            "limit": LIMIT,
        }


def torch_available() -> bool:
    """Whether the ``reference`` extra is installed (nothing is imported)."""
    return all(find_spec(name) is not None for name in ("torch", "ultralytics"))


def obstacle(head: str) -> str | None:
    """Why this head cannot be compared with PyTorch here, None when it can."""
    if not torch_available():
        return "PyTorch is not installed, `pip install outpost-edge[reference]`"
    if head not in PROVABLE:
        return f"ultralytics cannot load the head {head}"
    return None


def run_reference(checkpoint: Path, tensors: Sequence[Floats]) -> list[Floats]:
    """The original's raw outputs, from a process of its own.

    Args:
        checkpoint: a file that the restricted reader has accepted.
        tensors: (1, 3, h, w) float32 each.

    Raises:
        ModelError: when PyTorch cannot run it, with its last line.
    """
    with tempfile.TemporaryDirectory(prefix="outpost-prove-") as folder:
        given, made = Path(folder, "in.npy"), Path(folder, "out.npy")
        np.save(given, np.concatenate(list(tensors)))
        command = [
            sys.executable,
            "-m",
            "builder.torch_worker",
            *map(str, (checkpoint, given, made)),
        ]
        environment = {**os.environ, **_ENVIRONMENT, "YOLO_CONFIG_DIR": folder}
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S,
                check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise ModelError(
                f"{checkpoint}: PyTorch gave no answer in {TIMEOUT_S:.0f} s; build with"
                " --prove never, or on a faster machine"
            ) from None
        if done.returncode or not made.exists():
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise ModelError(
                f"{checkpoint}: PyTorch cannot run it: {lines[-1][:300]}; build with --prove never"
            )
        outputs = np.load(made, allow_pickle=False)
    return [outputs[index : index + 1] for index in range(len(outputs))]


def parity(graph: Sequence[Floats], reference: Sequence[Floats], head: str) -> Parity:
    """Compare raw outputs frame by frame.

    Raises:
        ModelError: when their shapes differ, or one of them holds NaN or Inf.
    """
    box = score = 0.0
    for ours, theirs in zip(graph, reference, strict=True):
        if ours.shape != theirs.shape:
            raise ModelError(f"the graph gives {ours.shape}, PyTorch {theirs.shape}")
        if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
            raise ModelError("the raw output holds NaN or Inf; nothing can be proven")
        a, b = (_rows(raw, head) for raw in (ours, theirs))
        largest = max(1.0, float(np.abs(b[:4]).max()))
        box = max(box, float(np.abs(a[:4] - b[:4]).max()) / largest)
        score = max(score, float(np.abs(a[4:] - b[4:]).max()))
    return Parity(len(graph), box, score)


def _rows(raw: Floats, head: str) -> npt.NDArray[np.float64]:
    """(values, boxes) in float64: the first four are the box."""
    return np.asarray(raw[0].T if head == "yolov5-anchor" else raw[0], np.float64)


def check(proof: Parity, where: str) -> None:
    """Refuse a graph that is not the original; raises `ModelError`."""
    if proof.worst > LIMIT:
        raise ModelError(
            f"{where}: the graph differs from PyTorch by {proof.worst:.1e} (at most {LIMIT:.0e} is"
            " allowed); this is a fault of the graph writer, please report it with the checkpoint"
        )
