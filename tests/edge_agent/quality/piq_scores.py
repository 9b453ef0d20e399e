"""What piq gives for the pictures, as JSON: `python -m tests.edge_agent.quality.piq_scores`.

A process of its own: piq imports torchvision, and ultralytics in the same process would then use
it. The torchvision that installs beside the CPU build of torch cannot load its operators; declaring
two of them is enough for an import, and piq's metrics call none.
"""

from __future__ import annotations

import json
import sys

import cv2
import numpy as np

from tests.edge_agent.quality.pictures import ODD, SQUARE, WIDE, distorted, scene


def load():
    """The piq module.

    Raises:
        ImportError: it is not installed, or torch is not.
    """
    import torch

    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        for name in [name for name in sys.modules if name.startswith("torchvision")]:
            del sys.modules[name]
        for name in ("nms", "qnms"):
            signature = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            torch.library.define(f"torchvision::{name}", signature)
    import piq

    torch.set_num_threads(1)
    return piq


def tensor(picture: np.ndarray):
    """(1, C, H, W) float64 in RGB."""
    import torch

    planes = picture[None] if picture.ndim == 2 else picture[:, :, ::-1].transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(planes, np.float64))[None]


def scores(piq, reference: np.ndarray, image: np.ndarray) -> dict[str, float]:
    """By our names; piq wants the picture first, then the reference.

    Pyramids of odd sides are left out: piq pads them otherwise than the authors' programs do.
    """
    grey = [tensor(cv2.cvtColor(p, cv2.COLOR_BGR2GRAY)) for p in (image, reference)]
    colour = [tensor(p) for p in (image, reference)]
    found = {
        "ssim": piq.ssim(*grey, data_range=255, downsample=False),
        "gmsd": piq.gmsd(*grey, data_range=255),
        "vif": piq.vif_p(*grey, data_range=255, sigma_n_sq=2.0),
        "fsim": piq.fsim(*grey, data_range=255, chromatic=False),
        "fsimc": piq.fsim(*colour, data_range=255),
        "vsi": piq.vsi(*colour, data_range=255),
    }
    if not any(side % 2 for side in reference.shape[:2]):
        found["ms-ssim"] = piq.multi_scale_ssim(*grey, data_range=255)
        found["iw-ssim"] = piq.information_weighted_ssim(*grey, data_range=255)
    return {name: float(value) for name, value in found.items()}


def pairs() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """A few pairs by a name of their own; each costs piq seconds."""
    chosen = (("square", SQUARE, "blur"), ("wide", WIDE, "dark"), ("odd", ODD, "noise"))
    return {
        f"{label} {kind}": (scene(shape), distorted(shape)[kind]) for label, shape, kind in chosen
    }


if __name__ == "__main__":
    module = load()
    print(json.dumps({name: scores(module, *pair) for name, pair in pairs().items()}))
