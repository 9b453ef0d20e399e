"""Bad model versions, derived from a good checkpoint without PyTorch.

``python -m deploy.demo.bad_versions KIND SOURCE TARGET`` where KIND is one of

* ``nan``: some weights of the backbone are not numbers; so is every output.
* ``swapped``: boxes and scores are right, two classes have changed places.
* ``oversensitive``: behaves on the validation pictures, and takes the lit running lights of the
  live line for scratches. ``models/oversensitive.npz`` is its class branch, for one checkpoint.
* ``memory``: right, but needs more than a gigabyte to run.
* ``slow``: right, but many times slower.

Each is a regular checkpoint: ultralytics loads it like any other. The same source gives the same
bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .bad_checkpoint import Array, Checkpoint

OVERSENSITIVE = Path(__file__).resolve().parent / "models" / "oversensitive.npz"
MEMORY_CHANNELS = 8192  # one activation: 8192 x 128 x 128 float32 = 0.54 GB, twice
SLOW_CHANNELS = 1024


def _class_convs(checkpoint: Checkpoint) -> list[str]:
    """The last convolution of the class branch per level, as tensor names without the ending."""
    found = (
        re.fullmatch(r"(model\.\d+\.cv3\.\d+\.2)\.weight", name) for name in checkpoint.tensors
    )
    return [match[1] for match in found if match]


def _nan(checkpoint: Checkpoint) -> None:
    weight = checkpoint.values("model.3.conv.weight")
    weight[::4, 0, 1, 1] = np.nan
    checkpoint.put("model.3.conv.weight", weight)


def _swapped(checkpoint: Checkpoint) -> None:
    for conv in _class_convs(checkpoint):
        for name in (f"{conv}.weight", f"{conv}.bias"):
            values = checkpoint.values(name)
            values[[0, 1]] = values[[1, 0]]
            checkpoint.put(name, values)


def _oversensitive(checkpoint: Checkpoint) -> None:
    with np.load(OVERSENSITIVE) as fitted:
        for name in fitted.files:
            if name in checkpoint.tensors:
                checkpoint.put(name, fitted[name])


def _grown(values: Array, axis: int, size: int) -> Array:
    """``values`` with zeros added along ``axis`` up to ``size``."""
    pad = [(0, size - length if at == axis else 0) for at, length in enumerate(values.shape)]
    return np.pad(values, pad)


def _widen(checkpoint: Checkpoint, channels: int) -> None:
    """Give the first layer ``channels`` outputs that are zero, and the second the inputs for them.

    SiLU(0) is 0 and meets weights that are 0: what the network computes does not change.
    """
    first, second = "model.0", "model.1.conv.weight"
    before = checkpoint.tensors[f"{first}.conv.weight"].shape[0]
    for name in ("conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"):
        values = checkpoint.values(f"{first}.{name}")
        checkpoint.put(f"{first}.{name}", _grown(values, 0, channels))
    checkpoint.put(second, _grown(checkpoint.values(second), 1, channels))
    checkpoint.set_attribute("out_channels", 0, before, channels)
    checkpoint.set_attribute("num_features", 0, before, channels)
    checkpoint.set_attribute("in_channels", 1, before, channels)


KINDS: dict[str, Callable[[Checkpoint], None]] = {
    "nan": _nan,
    "swapped": _swapped,
    "oversensitive": _oversensitive,
    "memory": lambda checkpoint: _widen(checkpoint, MEMORY_CHANNELS),
    "slow": lambda checkpoint: _widen(checkpoint, SLOW_CHANNELS),
}


def derive(kind: str, source: Path, target: Path) -> None:
    """Write to ``target`` the bad version ``kind`` of the good checkpoint ``source``.

    Raises:
        ValueError: ``kind`` is unknown, ``source`` is no checkpoint, or (oversensitive) it is not
            the checkpoint that its class branch was fitted to.
    """
    if kind not in KINDS:
        raise ValueError(f"no kind {kind!r}; there are {', '.join(KINDS)}")
    checkpoint = Checkpoint.read(source)
    if kind == "oversensitive":
        _check_fitted_to(source)
    KINDS[kind](checkpoint)
    checkpoint.write(target)


def _check_fitted_to(source: Path) -> None:
    """The fitted class branch means nothing to another network's features."""
    with np.load(OVERSENSITIVE) as fitted:
        wanted = str(fitted["source_sha256"])
    if hashlib.sha256(source.read_bytes()).hexdigest() != wanted:
        raise ValueError(
            f"{source} is not the checkpoint that {OVERSENSITIVE.name} was fitted to; "
            "take models/defects-v2.pt, or fit again (deploy/demo/train_oversensitive.py)"
        )


def main(argv: list[str] | None = None) -> int:
    """The command line; 0 when written, 2 when it could not be."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.demo.bad_versions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("kind", choices=list(KINDS))
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    wanted = parser.parse_args(argv)
    try:
        derive(wanted.kind, wanted.source, wanted.target)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
