"""A graph that runs under the deployed preprocessing and decoding, with its raw output in reach.

These are the parts of the agent's `Detector`, so what is measured here is what a device does. One
thread per picture: several pictures at once are how the builder uses all cores (`builder.crew`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edge_agent.backends import BackendOptions, ModelFile, Outputs, load_backend
from edge_agent.bundle import Manifest
from edge_agent.detection.decode import Floats, decode
from edge_agent.detection.detector import contract
from edge_agent.detection.preprocess import Image, Letterbox, Placement


@dataclass
class Shot:
    """One golden frame on its way: picture, tensor and the raw output for it."""

    image: Image
    tensor: Floats
    placement: Placement
    raw: Floats


class Runner:
    """One ONNX file under a manifest's contracts, on the CPU; several threads may use it at once.

    Args:
        manifest: the contracts.
        model: the ONNX file.
        threads: per inference, 0 for all cores.
        as_written: compute Q/DQ pairs in float, as ONNX defines them, instead of with the runtime's
            integer kernels: a second opinion on what an int8 graph says, and without VNNI or for
            signed activations the faster one.
    """

    def __init__(
        self, manifest: Manifest, model: Path, *, threads: int = 1, as_written: bool = False
    ) -> None:
        self.manifest = manifest
        self._local = threading.local()
        self._run: Callable[[Floats], Outputs]
        if as_written:
            self._run = _float_session(model, embeds=manifest.embedding is not None)
        else:  # ONNX Runtime's sessions may be run by several threads at once
            options = BackendOptions(threads=threads)
            self._run = load_backend(ModelFile(model), contract(manifest), options).outputs

    def tensor(self, image: Image) -> tuple[Floats, Placement]:
        """The picture as (1, 3, h, w) float32 (a copy) and its placement."""
        letterbox = getattr(self._local, "letterbox", None)
        if letterbox is None:
            letterbox = self._local.letterbox = Letterbox(self.manifest.input)
        tensor, placement = letterbox(image)
        return tensor.copy(), placement

    def raw(self, tensor: Floats) -> Floats:
        """The raw output for one tensor."""
        return self._run(tensor).raw

    def outputs(self, tensor: Floats) -> Outputs:
        """Raw output and embedding for one tensor."""
        return self._run(tensor)

    def detections(
        self,
        raw: Floats,
        placement: Placement,
        *,
        iou_shift: float = 0.0,
        floor: float | None = None,
    ) -> tuple[Floats, bool]:
        """(n, 6) detections down to the floor, and whether the raw output held NaN or Inf.

        Args:
            raw: the raw output.
            placement: of the picture.
            iou_shift: added to the NMS threshold, to see what hangs by a hair.
            floor: another one than the manifest's.
        """
        spec = self.manifest.decode
        least = spec.floor if floor is None else floor
        spec = replace(spec, iou=spec.iou + iou_shift, floor=least)
        return decode(np.asarray(raw), self.manifest.head, spec, placement)

    def shot(self, image: Image) -> Shot:
        """Run one picture and keep every step."""
        tensor, placement = self.tensor(image)
        return Shot(image, tensor, placement, self.raw(tensor))


def _float_session(model: Path, *, embeds: bool) -> Callable[[Floats], Outputs]:
    """What runs a graph without fusing its Q/DQ pairs into integer kernels."""
    import onnxruntime as ort

    settings = ort.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.add_session_config_entry("session.disable_quant_qdq", "1")
    session: Any = ort.InferenceSession(str(model), settings, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    names = [one.name for one in session.get_outputs()][: 2 if embeds else 1]

    def run(tensor: Floats) -> Outputs:
        return Outputs(*session.run(names, {name: tensor}))

    return run
