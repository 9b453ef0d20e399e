"""The proof: the graph against the original in PyTorch, on the golden frames.

Raw outputs are compared, so that no threshold can hide a difference. Boxes are pixels of the tensor
and are taken relative to the largest one; scores are probabilities and are taken as they are.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from builder.worker import MISSING, run_worker, torch_available
from edge_agent.detection.decode import Floats
from edge_agent.errors import ModelError, storage_errors

LIMIT = 1e-5
EXPORTED_LIMIT = 1e-4
"""For graphs of ultralytics' exporter, which folds batch norms in float32; ours does in float64."""


@dataclass(frozen=True)
class Parity:
    """How far the graph is from PyTorch on the golden frames.

    Attributes:
        frames: compared.
        box: largest difference of a box value, relative to the largest one.
        score: largest difference of a score.
        limit: up to which it counts as the same model.
    """

    frames: int
    box: float
    score: float
    limit: float = LIMIT

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
            "limit": self.limit,
        }


def obstacle() -> str | None:
    """Why nothing can be compared with PyTorch here, None when it can."""
    return None if torch_available() else MISSING


def run_reference(checkpoint: Path, tensors: Sequence[Floats]) -> list[Floats]:
    """The original's raw outputs, from a process of its own.

    Args:
        checkpoint: a file that the restricted reader has accepted.
        tensors: (1, 3, h, w) float32 each.

    Raises:
        ModelError: when PyTorch cannot run it, with its last line.
    """
    with (
        storage_errors(Path(tempfile.gettempdir())),
        tempfile.TemporaryDirectory(prefix="outpost-prove-") as folder,
    ):
        given, made = Path(folder, "in.npy"), Path(folder, "out.npy")
        _save(given, np.concatenate(list(tensors)))
        run_worker(
            "run", checkpoint, given, made, folder=Path(folder), result=made,
            advice="build with --prove never",
        )  # fmt: skip
        outputs = np.load(made, allow_pickle=False)
    return [outputs[index : index + 1] for index in range(len(outputs))]


def _save(path: Path, tensors: Floats) -> None:
    """Write a .npy file; np.save forgets why the disk refused."""
    with path.open("wb") as file:
        header = np.lib.format.header_data_from_array_1_0(tensors)
        np.lib.format.write_array_header_1_0(file, header)
        file.write(np.ascontiguousarray(tensors).data)


def parity(
    graph: Sequence[Floats], reference: Sequence[Floats], head: str, *, limit: float = LIMIT
) -> Parity:
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
    return Parity(len(graph), box, score, limit)


def _rows(raw: Floats, head: str) -> npt.NDArray[np.float64]:
    """(values, boxes) in float64: the first four are the box."""
    return np.asarray(raw[0].T if head == "yolov5-anchor" else raw[0], np.float64)


def check(proof: Parity, where: str, blame: Callable[[], str] = str) -> None:
    """Refuse a graph that is not the original.

    Args:
        proof: what was measured.
        where: what to call the model in the message.
        blame: asked only then: which layer it is (`builder.blame`).

    Raises:
        ModelError: it differs by more than its limit.
    """
    if proof.worst > proof.limit:
        raise ModelError(
            f"{where}: the graph differs from PyTorch by {proof.worst:.1e} (at most"
            f" {proof.limit:.0e} is allowed){blame()}; this is a fault of what wrote the graph,"
            " please report it with the checkpoint"
        )
