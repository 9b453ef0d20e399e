"""One entry for every kind of source."""

from __future__ import annotations

import re
from pathlib import Path

from builder.sources.local import local_version
from builder.sources.reference import parse_reference, parse_run
from builder.sources.version import ModelVersion
from edge_agent.checked import nearest
from edge_agent.errors import UsageError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")
_SCHEMES = ("models", "runs")


def resolve(source: str, *, downloads: Path, tracking_uri: str | None = None) -> ModelVersion:
    """Find a model version and bring its checkpoint onto this disk.

    Args:
        source: ``models:/name@alias``, ``models:/name/3``, ``models:/name/Production``,
            ``runs:/<id>/path`` or the path of a ``.pt`` or ``.onnx`` file.
        downloads: folder for a remote checkpoint; must outlive the use of the result.
        tracking_uri: of MLflow; None takes MLFLOW_TRACKING_URI or ``sqlite:///mlflow.db``.

    Raises:
        UsageError: when the source has none of these forms (an address like ``https://…`` is named
            by its scheme), or is no file on this disk.
        RegistryError: when it is not in the registry, naming what is.
    """
    if source.startswith("models:"):
        reference = parse_reference(source)
        from builder.sources.registry import Registry

        return Registry.open(tracking_uri).fetch(reference, downloads)
    if source.startswith("runs:"):
        run = parse_run(source)
        from builder.sources.registry import Registry

        return Registry.open(tracking_uri).fetch_run(run, downloads)
    _refuse_address(source)
    return local_version(Path(source))


def _refuse_address(source: str) -> None:
    """Refuse ``scheme:/…`` by its scheme alone: the rest may hold a password or a token."""
    match = _SCHEME.match(source)
    if match and ("://" in source or not Path(source).exists()):
        raise UsageError(
            f"{match[1]}: is no scheme that sources may have{nearest(match[1], _SCHEMES)}; give"
            " models:/name@alias, runs:/<run id>/weights/best.pt, or a .pt or .onnx file on this"
            " disk (download it first)"
        )
