"""What a source gives: one model version with its checkpoint on this disk."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from builder.sources.run import RunFacts


@dataclass(frozen=True)
class ModelVersion:
    """A model version, wherever it came from.

    Attributes:
        name: of the registered model.
        version: number, from 1.
        checkpoint: the ``.pt``, ``.pth`` or ``.onnx`` file on this disk.
        sha256: of the checkpoint.
        uri: where it came from, pinned to the version: ``models:/defects/3``.
        created: the version's own time, ``2026-11-23T17:42:22Z``.
        choice: which file was taken and why, in words.
        run_id: of the training run, or "".
        registered: whether the version is in a registry that can be tagged.
        tags: of the version.
        run: what the training run says.
    """

    name: str
    version: int
    checkpoint: Path
    sha256: str
    uri: str
    created: str
    choice: str
    run_id: str = ""
    registered: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    run: RunFacts = field(default_factory=RunFacts)


def plain_name(text: str) -> str:
    """A text as a model's name: letters, digits, dot, underscore, dash."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._") or "model"


def utc_text(seconds: float) -> str:
    """Seconds since the epoch as UTC text, ``2026-11-23T17:42:22Z``."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
