"""What an MLflow model's ``MLmodel`` file says: which of its files holds the network.

MLflow stores a model as a folder with such a YAML file and one entry per flavour. Of interest are
``pytorch`` (a pickled module below ``data/``), ``onnx`` (one file) and ``python_function``, whose
code is never run here: only the weights that it wraps are taken, as the files they are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

FILE = "MLmodel"
MOST_BYTES = 1 << 20
SUFFIXES = (".pt", ".pth", ".onnx")


@dataclass(frozen=True)
class Packaging:
    """What one or several MLmodel files say together.

    Attributes:
        files: path of a network -> the flavour that names it.
        flavors: all flavours, also those that hold no network of ours.
    """

    files: Mapping[str, str]
    flavors: tuple[str, ...] = ()

    def __or__(self, other: Packaging) -> Packaging:
        flavors = dict.fromkeys((*self.flavors, *other.flavors))
        return Packaging({**self.files, **other.files}, tuple(flavors))


NOTHING = Packaging({})


def read_mlmodel(text: str, path: str, paths: Collection[str]) -> Packaging:
    """Read one MLmodel file; whatever in it is not as it should be is no help, and no fault.

    Args:
        text: its YAML.
        path: where it lies among the artifacts.
        paths: all artifacts; only these are ever named.
    """
    import yaml

    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError:
        return NOTHING
    flavors = document.get("flavors") if isinstance(document, dict) else None
    if not isinstance(flavors, dict):
        return NOTHING
    folder = PurePosixPath(path).parent
    files: dict[str, str] = {}
    for name in ("python_function", "onnx", "pytorch"):  # the most telling one last
        table = flavors.get(name)
        for target in _targets(name, table) if isinstance(table, dict) else []:
            files |= dict.fromkeys(_below(folder / target, paths), name)
    return Packaging(files, tuple(str(name)[:40] for name in flavors))


def _targets(flavor: str, table: dict[str, Any]) -> list[str]:
    """Files or folders that a flavour's table points at."""
    found = [table.get({"pytorch": "model_data"}.get(flavor, "data"))]
    artifacts = table.get("artifacts")
    if flavor == "python_function" and isinstance(artifacts, dict):
        found += [one.get("path") for one in artifacts.values() if isinstance(one, dict)]
    return [target for target in found if isinstance(target, str) and target]


def _below(target: PurePosixPath, paths: Collection[str]) -> list[str]:
    """The networks at or below a path."""
    return [
        path
        for path in paths
        if path.lower().endswith(SUFFIXES) and PurePosixPath(path).is_relative_to(target)
    ]
