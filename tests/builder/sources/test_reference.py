"""``models:/…`` in all its forms."""

from __future__ import annotations

import pytest

from builder.sources.reference import Reference, RunReference, parse_reference, parse_run
from edge_agent.errors import UsageError


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("models:/defects@production", Reference("defects", alias="production")),
        ("models:/defects", Reference("defects", alias="production")),
        ("models:/line 1 defects/3", Reference("line 1 defects", version=3)),
        ("models:/defects/production", Reference("defects", stage="Production")),
        ("models:/defects/latest", Reference("defects", stage="latest")),
    ],
)
def test_forms(text, wanted):
    """Alias, version, stage; the stage in any case; no alias means production."""
    assert parse_reference(text) == wanted
    assert parse_reference(str(wanted)) == wanted


@pytest.mark.parametrize(
    "text",
    ["models:", "models:/", "models:/a/b/c", "models:/a@", "models:/a@b/1", "models:/a'/1",
     "models:/a/0", "runs:/x/y"],
)  # fmt: skip
def test_other_forms_are_refused(text):
    """What is not a reference says which forms there are."""
    with pytest.raises(UsageError, match="models:/"):
        parse_reference(text)


def test_mistyped_stage_gets_a_hint():
    """An alias written like a stage is explained."""
    with pytest.raises(UsageError, match=r'did you mean "Production"\?; an alias is written'):
        parse_reference("models:/defects/prodution")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("runs:/0a1b/weights/best.pt", RunReference("0a1b", "weights/best.pt")),
        ("runs:/0a1b/weights/", RunReference("0a1b", "weights")),
        ("runs:/0a1b", RunReference("0a1b")),
    ],
)
def test_runs(text, wanted):
    """A file, a folder, all of the run."""
    assert parse_run(text) == wanted
    assert parse_run(str(wanted)) == wanted


@pytest.mark.parametrize("text", ["runs:", "runs:/", "runs:/a/../b", "runs:/a/b//c", "runs:/a b/c"])
def test_wrong_runs(text):
    """Nothing leaves the run's artifacts."""
    with pytest.raises(UsageError, match="runs:/<run id>"):
        parse_run(text)
