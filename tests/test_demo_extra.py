"""`make demo` needs only what it installs: the extras demo and cpu, no torch and no test tool."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
OURS = {"benchmarks", "builder", "deploy", "edge_agent", "registry_sync", "tests"}
TRAINING = {"train.py", "train_oversensitive.py"}  # made the committed models; need torch


def test_the_demo_s_imports_are_in_its_extras():
    """Each module that a file of the demo imports or reads data of comes with its extras."""
    installed = closure("outpost-edge", {"demo", "cpu"})
    distributions = packages_distributions()
    missing = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / "deploy/demo").rglob("*.py")
        if path.name not in TRAINING
        for name in imported(path) - OURS - set(sys.stdlib_module_names)
        if not installed & {canonical(one) for one in distributions.get(name, [])}
    }
    assert "onnxruntime" in installed and "torch" not in installed and "pytest" not in installed
    assert missing == set()


def imported(path: Path) -> set[str]:
    """Top-level modules that a file imports anywhere, or reads data of."""
    return {name.split(".")[0] for name in _names(ast.parse(path.read_text(encoding="utf-8")))}


def _names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("resources.files"):
            yield from (one.value for one in node.args if isinstance(one, ast.Constant))


def closure(root: str, extras: set[str]) -> set[str]:
    """Names of all distributions that an installation with these extras brings."""
    seen: set[tuple[str, str]] = set()
    wanted = [(root, extra) for extra in ("", *extras)]
    while wanted:
        name, extra = wanted.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            lines = requires(name) or []
        except PackageNotFoundError:  # for another system
            continue
        for need in map(Requirement, lines):
            if need.marker is None or need.marker.evaluate({"extra": extra}):
                wanted += [(canonical(need.name), one) for one in ("", *need.extras)]
    return {name for name, _ in seen}


def canonical(name: str) -> str:
    """A distribution's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
