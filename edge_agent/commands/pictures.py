"""Pictures that a person names on the command line."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from edge_agent.detection.preprocess import Image
from edge_agent.errors import SourceError
from edge_agent.sources.folder import read_picture


def keys_of(paths: Sequence[Path]) -> list[str]:
    """What to call each in the output: its name, or the whole path where a name is there twice."""
    names = [path.name for path in paths]
    return [path.name if names.count(path.name) == 1 else str(path) for path in paths]


def read(path: Path) -> Image:
    """One picture as (H, W, 3) BGR uint8.

    Raises:
        SourceError: it is missing, a folder, not readable or not a picture.
    """
    image = read_picture(path)
    if image is None:
        raise SourceError(f"{path}: {_why_not(path)}")
    return image


def _why_not(path: Path) -> str:
    if path.is_dir():
        return "is a folder; name the pictures in it"
    if not path.exists():
        return "no such file"
    if not os.access(path, os.R_OK, effective_ids=True):  # as open() asks
        return "permission denied; run as its owner or change its mode"
    return "cannot be read as a picture; is it complete, is it one?"
