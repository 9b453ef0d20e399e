"""A checkpoint or ONNX file that lies on this disk, registry or not."""

from __future__ import annotations

from pathlib import Path

from builder.sources.version import ModelVersion, plain_name, utc_text
from edge_agent.bundle import hash_file
from edge_agent.errors import UsageError, storage_errors


def local_version(path: Path) -> ModelVersion:
    """A file as version 1 of a model named after it; its time is the file's.

    Raises:
        UsageError: when there is no such file.
    """
    if not path.is_file():
        raise UsageError(
            f"{path}: no such file; name a .pt or .onnx file, or a registry version like"
            " models:/name@production"
        )
    with storage_errors(path):
        digest = hash_file(path)
    return ModelVersion(
        name=plain_name(path.stem),
        version=1,
        checkpoint=path,
        sha256=digest,
        uri=path.name,
        created=utc_text(path.stat().st_mtime),
        choice=f"{path.name}, a local file",
    )
