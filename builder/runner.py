"""A graph that runs under the deployed preprocessing and decoding, with its raw output in reach.

These are the parts of the agent's `Detector`, so what is measured here is what a device does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edge_agent.backends import ModelFile, load_backend
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
    """One ONNX file under a manifest's contracts, on the CPU."""

    def __init__(self, manifest: Manifest, model: Path) -> None:
        self.manifest = manifest
        self._letterbox = Letterbox(manifest.input)
        self._backend = load_backend(ModelFile(model), contract(manifest))

    def tensor(self, image: Image) -> tuple[Floats, Placement]:
        """The picture as (1, 3, h, w) float32 (a copy) and its placement."""
        tensor, placement = self._letterbox(image)
        return tensor.copy(), placement

    def raw(self, tensor: Floats) -> Floats:
        """The raw output for one tensor."""
        return self._backend.run(tensor)

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
