"""Where a model comes from, as the manifest's ``source`` says it.

Only what cannot change for a model version goes in, so that a rebuild gives the same digest: what
training wrote into the checkpoint itself (its SHA-256 stands beside it), what a run cannot take
back (`builder.sources.run`), and digests of the data that the build was given.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from builder.checkpoint import Checkpoint
from builder.images import Folder
from builder.sources import ModelVersion
from edge_agent.bundle import hash_file
from edge_agent.errors import storage_errors

MOST_ENTRIES = 256
MOST_CHARACTERS = 500
_DVC_LEVELS = 4
_DVC_BYTES = 64 * 1024
_DVC_HASH = re.compile(r"^[ -] *(?:md5|etag|checksum): *['\"]?([0-9A-Za-z.-]{8,80})['\"]? *$", re.M)


def source_table(
    checkpoint: Checkpoint, version: ModelVersion, data: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The manifest's ``source``.

    Args:
        checkpoint: what was read.
        version: where it came from.
        data: `data_facts` of the reference data, None without any.
    """
    facts: dict[str, Any] = {
        "uri": version.uri,
        "run_id": version.run_id,
        "checkpoint": version.checkpoint.name,
        "checkpoint_sha256": checkpoint.sha256,
        "flavor": checkpoint.head,
        "precision": checkpoint.precision,
        "trained": checkpoint.date or "",
        "trained_with": checkpoint.version or "",
        "parameters": _plain(checkpoint.args),
        "run_parameters": _plain(version.run.params),
        "metrics": _plain(version.run.metrics or checkpoint.metrics),
        "git": _git(checkpoint, version),
        "datasets": [{"name": name, "digest": digest} for name, digest in version.run.datasets],
    }
    return facts | ({"reference_data": dict(data)} if data else {})


def data_facts(folder: Folder) -> dict[str, Any]:
    """How many images, one SHA-256 over their names and bytes, and DVC's hash where it has one."""
    digest = hashlib.sha256()
    with storage_errors(folder.root):
        paths = [path for path in folder.paths if path not in folder.unreadable]
        for path in paths:
            line = f"{path.relative_to(folder.root).as_posix()}\0{hash_file(path)}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
    facts: dict[str, Any] = {
        "name": folder.root.resolve().name,
        "images": len(paths),
        "sha256": digest.hexdigest(),
    }
    return facts | ({"dvc": dvc} if (dvc := dvc_hash(folder.root)) else {})


def dvc_hash(folder: Path) -> dict[str, str] | None:
    """What DVC's pointer file beside the folder, or beside one above it, records; None without."""
    resolved = folder.resolve()
    for place in (resolved, *resolved.parents)[:_DVC_LEVELS]:
        pointer = place.with_name(f"{place.name}.dvc") if place.name else place
        if place.name and pointer.is_file() and pointer.stat().st_size <= _DVC_BYTES:
            found = _DVC_HASH.search(pointer.read_text("utf-8", "replace"))
            if found:
                return {"file": pointer.name, "hash": found[1]}
    return None


def _git(checkpoint: Checkpoint, version: ModelVersion) -> dict[str, str]:
    """The commit of the training code, as the file says it, else the run."""
    found = checkpoint.git if checkpoint.git.get("commit") else {"commit": version.run.commit}
    facts = {name: found.get(name) for name in ("commit", "branch", "origin")}
    return {name: value[:200] for name, value in facts.items() if isinstance(value, str) and value}


def _plain(values: Mapping[str, object]) -> dict[str, Any]:
    """Texts, numbers and truths of a table, sorted and bounded; what JSON cannot hold is left."""
    kept: dict[str, Any] = {}
    for name in sorted(values)[:MOST_ENTRIES]:
        value = values[name]
        if isinstance(value, str):
            kept[name] = value[:MOST_CHARACTERS]
        elif isinstance(value, bool) or (isinstance(value, (int, float)) and _finite(value)):
            kept[name] = value
    return kept


def _finite(value: float) -> bool:
    return abs(value) < 2**53 and math.isfinite(value)
