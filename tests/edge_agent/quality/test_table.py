"""Metrics by name."""

import ast
import importlib
import re
import sys
from pathlib import Path

import pytest

from edge_agent.errors import UsageError
from edge_agent.quality import METRICS, find

ROOT = Path(__file__).resolve().parents[3]


def test_lists_of_names():
    """In the order asked for, each once; all of them; capitals and blanks do not matter."""
    assert [m.name for m in find("gmsd, SSIM,gmsd")] == ["gmsd", "ssim"]
    assert find("all") == list(METRICS.values())


@pytest.mark.parametrize(
    ("names", "words"), [("simm", 'did you mean "ssim"'), ("", '"" is not'), ("ssim,", '"" is not')]
)
def test_unknown_names(names, words):
    """Refused with the nearest name and all there are."""
    with pytest.raises(UsageError) as caught:
        find(names)
    assert words in str(caught.value) and "dscsi" in str(caught.value)


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_is_documented(name):
    """Its function says paper, range, direction and cost; docs/quality.md has a line for it."""
    metric = METRICS[name]
    module = importlib.import_module(f"edge_agent.quality.{metric.module}")
    text = getattr(module, metric.function).__doc__ + module.__doc__
    assert re.search(r"(19|20)\d\d", text) or name == "ssim-uniform"
    direction = "higher is better" if metric.higher_is_better else "lower is better"
    assert direction in text and "Cost:" in text and "SourceError" in text
    assert f"from {metric.least} x {metric.least} pixels" in text.replace("\n    ", " ")
    assert f"| `{name}` |" in (ROOT / "docs/quality.md").read_text(encoding="utf-8")


def test_it_needs_numpy_and_opencv_only():
    """What a device has: no SciPy, scikit-image or torch, in any file of the package."""
    allowed = {*sys.stdlib_module_names, "numpy", "cv2", "edge_agent"}
    for path in (ROOT / "edge_agent/quality").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert {alias.name.split(".")[0] for alias in node.names} <= allowed, path
            elif isinstance(node, ast.ImportFrom) and node.module:
                assert node.module.split(".")[0] in allowed, path


def test_the_commands_help_names_every_metric():
    """The list in the option's help is the table's."""
    from edge_agent.cli import cli

    option = next(p for p in cli.commands["quality"].params if p.name == "metrics")
    assert "With commas: " + ", ".join(METRICS) + "; or all." == option.help
