"""Metrics by name."""

import importlib
import re
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
