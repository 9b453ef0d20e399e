"""The original network in PyTorch, rebuilt from a checkpoint of either training code.

PyTorch reads the tensors itself, so that this side of the proof shares nothing with the graph
writer but the list of names (`builder.checkpoint.allowed`). YOLOv5u networks are those of the
installed ultralytics. The original repository's package is not needed: its layers are those of
ultralytics; what is missing there, the walk and the anchor head are in `builder.classic`.

Import torch and ultralytics in a process of their own (`builder.torch_worker`) and load only what
the restricted reader has accepted.
"""

from __future__ import annotations

import pickle
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

from builder.checkpoint.allowed import find
from builder.checkpoint.values import WRAPPERS

CLASSIC = frozenset(["models.common", "models.experimental", "models.yolo", "utils.activations"])
_SETTINGS = ("Namespace", "SimpleNamespace", "IterableSimpleNamespace")
_UNUSED = ("ultralytics.utils.loss", "ultralytics.utils.tal")


def load_original(path: Path) -> Any:
    """The network of a checkpoint as a ``torch.nn.Module``: float32, CPU, evaluation mode.

    Its forward pass gives the raw output, alone or as the first of several.

    Raises:
        Refusal: the file names something that is not on the list.
        LookupError: a class of the original code that neither torch nor ultralytics has.
    """
    import torch

    top = torch.load(path, map_location="cpu", weights_only=False, pickle_module=_reader())
    if isinstance(top, dict):
        top = top.get("ema") or top["model"]
    while type(top).__name__ == "Wrapper":
        top = top._modules.get("module", top._modules.get("model"))
    model = top.float().eval()
    for part in model.modules():
        _mend(part)
    return model


def _mend(part: Any) -> None:
    """Add what files of older releases lack and today's PyTorch asks for."""
    name = type(part).__name__
    if name == "Upsample":
        part.__dict__.setdefault("recompute_scale_factor", None)
    elif name in ("SiLU", "Hardswish", "LeakyReLU", "ReLU", "ReLU6", "Mish"):
        part.__dict__.setdefault("inplace", False)
    elif name == "MultiheadAttention":
        part.__dict__.setdefault("batch_first", False)
    elif "conv" in part._modules and "act" in part._modules and "bn" not in part._modules:
        part.forward = part.forward_fuse
    if hasattr(part, "one2one_cv2"):
        part.end2end = False  # raw scores, as every release here is decoded and watched


def _reader() -> Any:
    """What ``torch.load`` takes for the pickle module: an unpickler that knows a closed list."""
    from builder.classic import classic_parts

    classic = classic_parts()

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            find(module, name)
            if name in WRAPPERS:
                return classic["Wrapper"]
            if module in CLASSIC or name == "_LinearWithBias":
                return _classic_part(classic, module, name)
            if module.startswith("pathlib"):
                return PurePosixPath
            if name in _SETTINGS or module in _UNUSED:
                return SimpleNamespace
            return super().find_class(module, name)

    return SimpleNamespace(Unpickler=Unpickler, load=pickle.load, __name__="outpost")


def _classic_part(own: dict[str, Any], module: str, name: str) -> Any:
    from torch import nn
    from ultralytics.nn import modules

    from builder.classic import experimental_parts

    first = experimental_parts() if module == "models.experimental" else {}
    for place in (first, own, vars(modules), vars(nn)):
        if name in place:
            return place[name]
    raise LookupError(f"there is no {module}.{name} in torch, ultralytics or here")
