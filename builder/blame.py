"""Where a graph first departs from the original: layer by layer, when the outputs differ."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import numpy as np

from builder.worker import run_worker
from edge_agent.detection.decode import Floats
from edge_agent.errors import ModelError

LEAST = 1e-4
"""Relative difference of a layer that counts; float32 sums in another order stay below."""

_LAYER = re.compile(r"/model/(\d+)/")


def first_difference(model: Path, checkpoint: Path, tensor: Floats) -> str:
    """The first layer whose output is not PyTorch's, as the end of a sentence.

    Args:
        model: the graph that was drawn from the checkpoint.
        checkpoint: a file that the restricted reader has accepted.
        tensor: (1, 3, h, w) float32 to run both with.

    Returns:
        ``; the first layer that differs is model.2 (C3), by 3.1e-02``; empty when it cannot be
        said, as for graphs whose nodes are not named by their place.
    """
    try:
        ours, theirs = _graph_layers(model, tensor), _original_layers(checkpoint, tensor)
    except ModelError:
        return ""
    for number, (kind, wanted) in enumerate(theirs):
        found = ours.get(number)
        if found is None or number == len(theirs) - 1:
            continue
        if found.shape != wanted.shape:
            return f"; model.{number} ({kind}) gives {found.shape}, PyTorch {wanted.shape}"
        far = float(np.abs(found - wanted).max() / max(float(np.abs(wanted).max()), 1e-12))
        if not far <= LEAST:
            return f"; the first layer that differs is model.{number} ({kind}), by {far:.1e}"
    head = f"; all layers before the head agree, which is model.{len(theirs) - 1}"
    return head if ours else ""


def _graph_layers(model: Path, tensor: Floats) -> dict[int, Floats]:
    """Layer number -> its output: that of the last node drawn for it."""
    import onnx
    import onnxruntime

    graph = onnx.load(model)
    last = {
        int(match[1]): node.output[0]
        for node in graph.graph.node
        if (match := _LAYER.match(node.name))
    }
    names = list(dict.fromkeys(last.values()))
    known = {one.name for one in graph.graph.output}
    graph.graph.output.extend(onnx.ValueInfoProto(name=one) for one in names if one not in known)
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    values = dict(
        zip(names, session.run(names, {session.get_inputs()[0].name: tensor}), strict=True)
    )
    return {number: values[name] for number, name in last.items()}


def _original_layers(checkpoint: Path, tensor: Floats) -> list[tuple[str, Floats]]:
    """(class, output) of each layer, in order; the head's output is left empty."""
    with tempfile.TemporaryDirectory(prefix="outpost-blame-") as folder:
        given, made = Path(folder, "in.npy"), Path(folder, "out.npz")
        np.save(given, tensor)
        run_worker(
            "layers", checkpoint, given, made, folder=Path(folder), result=made, advice=""
        )  # fmt: skip
        with np.load(made, allow_pickle=False) as layers:
            return [(name.partition(" ")[2], layers[name]) for name in layers.files]
