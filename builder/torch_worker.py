"""The reference in a process of its own.

::

    python -m builder.torch_worker run CKPT IN.npy OUT.npy
    python -m builder.torch_worker stream CKPT HEIGHT WIDTH
    python -m builder.torch_worker layers CKPT IN.npy OUT.npz
    python -m builder.torch_worker export CKPT OUT.onnx HEIGHT WIDTH BATCH

PyTorch and ultralytics change settings of the process that imports them, and unpickle. So this runs
apart, and only on a checkpoint that the restricted reader has accepted.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def run(checkpoint: str, tensors: str, output: str) -> None:
    """Run the original model over (n, 3, h, w) float32 tensors and save its raw outputs."""
    import numpy as np
    import torch

    from builder.original import load_original

    model = load_original(Path(checkpoint))
    rows = []
    with torch.inference_mode():
        for tensor in np.load(tensors, allow_pickle=False):
            rows.append(_first(model(torch.from_numpy(tensor[None]))).numpy())
    np.save(output, np.concatenate(rows))


def stream(checkpoint: str, height: str, width: str) -> None:
    """Answer each (1, 3, h, w) float32 tensor on stdin with its raw output on stdout.

    In: the numbers alone. Out: a .npy header and the numbers. Ends when stdin does.
    """
    import os

    import numpy as np
    import torch

    from builder.original import load_original

    shape = (1, 3, int(height), int(width))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print goes elsewhere than the answers
    model = load_original(Path(checkpoint))
    size = 4 * math.prod(shape)
    with torch.inference_mode():
        while len(data := sys.stdin.buffer.read(size)) == size:
            tensor = np.frombuffer(data, np.float32).reshape(shape).copy()
            raw = np.ascontiguousarray(_first(model(torch.from_numpy(tensor))).numpy())
            header = np.lib.format.header_data_from_array_1_0(raw)
            np.lib.format.write_array_header_1_0(answers, header)
            answers.write(raw.data)
            answers.flush()


def _first(given: Any) -> Any:
    """The raw output, alone or as the first of several."""
    return given[0] if isinstance(given, (tuple, list)) else given


def layers(checkpoint: str, tensor: str, output: str) -> None:
    """Run one tensor and save what each layer gives, in order, as ``NUMBER CLASS``."""
    import numpy as np
    import torch

    from builder.original import load_original

    model = load_original(Path(checkpoint))
    made: dict[str, Any] = {}

    def watch(name: str, layer: Any) -> None:
        inner = layer.forward

        def forward(*inputs: Any) -> Any:
            result = inner(*inputs)
            made[name] = result.numpy() if isinstance(result, torch.Tensor) else np.empty(0)
            return result

        layer.forward = forward

    for number, layer in enumerate(model.model):
        watch(f"{number} {type(layer).__name__}", layer)
    with torch.inference_mode():
        model(torch.from_numpy(np.load(tensor, allow_pickle=False)))
    np.savez(output, **made)


def export(checkpoint: str, output: str, height: str, width: str, batch: str) -> None:
    """Let ultralytics' own exporter write the model as ONNX."""
    import shutil

    from ultralytics import YOLO

    copy = Path(output).with_suffix(".pt")  # it writes beside what it reads
    shutil.copyfile(checkpoint, copy)
    yolo = YOLO(str(copy), task="detect")
    for part in yolo.model.modules():
        if hasattr(part, "one2one_cv2"):
            part.end2end = False
    yolo.export(
        format="onnx", imgsz=[int(height), int(width)], opset=17, simplify=False,
        dynamic=batch == "dynamic", batch=1, half=False, device="cpu", verbose=False,
    )  # fmt: skip


if __name__ == "__main__":
    verbs: dict[str, Callable[..., None]] = {
        "run": run, "stream": stream, "layers": layers, "export": export,
    }  # fmt: skip
    verbs[sys.argv[1]](*sys.argv[2:])
