"""The floor: what a short script does with the same ONNX file, in a process of its own.

``python -m benchmarks.bare loop MODEL TENSORS.npy`` answers each line on stdin with the runs per
second of a bare ``session.run`` over ready tensors. ``… script MODEL CLIP`` reads a clip to its end
and infers every frame, as ten lines with OpenCV and ONNX Runtime do.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

SLICE_S = 2.0


def _session(model: str) -> tuple[Any, str]:
    """ONNX Runtime with its own defaults."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session, session.get_inputs()[0].name


def _loop(model: str, tensors: npt.NDArray[np.float32]) -> None:
    session, name = _session(model)
    print("ready", flush=True)
    for _ in sys.stdin:
        for _ in range(3):  # the agent's first frames of a slice are not counted either
            session.run(None, {name: tensors[:1]})
        calls, began = 0, time.perf_counter()
        while (spent := time.perf_counter() - began) < SLICE_S:
            start = calls % len(tensors)
            session.run(None, {name: tensors[start : start + 1]})
            calls += 1
        print(calls / spent, flush=True)


def _script(model: str, clip: str) -> None:
    session, name = _session(model)
    height, width = session.get_inputs()[0].shape[2:]
    capture = cv2.VideoCapture(clip)
    while True:
        found, frame = capture.read()
        if not found:
            break
        tensor = cv2.dnn.blobFromImage(frame, 1 / 255, (width, height), swapRB=True)
        (raw,) = session.run(None, {name: tensor})
        raw[0, 4:].max(axis=0).argmax()


def script(model: Path, clip: Path) -> list[str]:
    """The command of the short script."""
    return [sys.executable, "-m", "benchmarks.bare", "script", str(model), str(clip)]


@contextmanager
def bare_loop(
    model: Path, tensors: Sequence[npt.NDArray[np.float32]], folder: Path
) -> Iterator[Any]:
    """A function that lets the bare loop run for a slice of time, and gives its runs per second.

    In another process: threads of two sessions in one would wait for each other.
    """
    path = folder / "tensors.npy"
    np.save(path, np.concatenate(tensors))
    command = [sys.executable, "-m", "benchmarks.bare", "loop", str(model), str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as child:
        assert child.stdin is not None and child.stdout is not None
        child.stdout.readline()

        def ask() -> float:
            assert child.stdin is not None and child.stdout is not None
            child.stdin.write("go\n")
            return float(child.stdout.readline())

        yield ask
        child.stdin.close()


if __name__ == "__main__":
    if sys.argv[1] == "loop":
        _loop(sys.argv[2], np.load(sys.argv[3]))
    else:
        _script(sys.argv[2], sys.argv[3])
