"""Weights that an ONNX file keeps in other files: MLflow's onnx flavour writes them by default.

Only plain files beside the graph are taken, by their bare names; a name that leads anywhere else is
refused before anything is opened.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from builder.checkpoint.refusal import shorten
from builder.errors import CheckpointError

if TYPE_CHECKING:
    from onnx import ModelProto, TensorProto

MOST_BYTES = 1 << 30


def weight_files(path: Path) -> list[str]:
    """The bare names of the files that a graph's weights lie in; none for what is no ONNX file.

    Raises:
        CheckpointError: a name leads elsewhere.
    """
    import onnx

    try:
        model = onnx.load(path, load_external_data=False)
    except Exception:  # said with its reason when it is read
        return []
    return _names(path, model)


def embed(path: Path, model: ModelProto) -> bytes:
    """Take the weights in from the files beside ``path``.

    Returns:
        What has to be hashed with the graph: the SHA-256 of each file, b"" when there are none.

    Raises:
        CheckpointError: a file is missing, a link, too large, or not beside the graph.
    """
    from onnx.external_data_helper import load_external_data_for_model

    digests = b""
    for name in _names(path, model):
        file = path.parent / name
        if file.is_symlink() or not file.is_file():
            raise CheckpointError(f"{path}: its weights in {name} are missing; copy both files")
        if file.stat().st_size > MOST_BYTES:
            raise CheckpointError(f"{file}: has more than {MOST_BYTES} bytes")
        digests += hashlib.sha256(file.read_bytes()).digest()
    if digests:
        try:
            load_external_data_for_model(model, str(path.parent))
        except Exception as error:
            raise CheckpointError(
                f"{path}: its weights cannot be read: {' '.join(str(error).split())[:200]}"
            ) from None
    return digests


def _names(path: Path, model: ModelProto) -> list[str]:
    names: dict[str, None] = {}
    for tensor in _outside(model):
        for entry in tensor.external_data:
            if entry.key == "location":
                if Path(entry.value).name != entry.value or entry.value in ("", ".", ".."):
                    raise CheckpointError(
                        f"{path}: keeps weights in {shorten(entry.value)}, which does not lie"
                        " beside it; save it as one file"
                    )
                names[entry.value] = None
    return list(names)


def _outside(model: ModelProto) -> Iterator[TensorProto]:
    from onnx import TensorProto

    for tensor in model.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            yield tensor
