"""Which artifact is the checkpoint."""

from __future__ import annotations

import pytest

from builder.sources.candidates import choose_checkpoint
from builder.sources.mlmodel import Packaging
from edge_agent.errors import RegistryError


@pytest.mark.parametrize(
    ("paths", "taken", "why"),
    [
        (["weights/best.pt"], "weights/best.pt", "the only checkpoint"),
        (["a/last.pt", "a/best.pt", "a/epoch5.pt"], "a/best.pt", "validation found best"),
        (["w/last.pt", "w/epoch5.pt"], "w/last.pt", "no best.pt"),
        (["deep/er/a.pt", "z.pt"], "z.pt", "nearest to the top"),
        (["deep/best.pt", "best.PT"], "best.PT", "validation found best"),
        (["results.csv", "data/model.pth"], "data/model.pth", "the only checkpoint"),
        (["model.onnx"], "model.onnx", "the only ONNX file; there is no checkpoint"),
        (["model.onnx", "deep/er/x.pt"], "deep/er/x.pt", "a checkpoint can be proven"),
    ],
)
def test_choice(paths, taken, why):
    """best.pt, then last.pt, then the one nearest to the top; the reason is said."""
    candidate = choose_checkpoint(paths, "here")
    assert candidate.path == taken
    assert why in candidate.choice
    for path in paths:
        if path.lower().endswith((".pt", ".onnx")):
            assert path in candidate.choice


def test_none_lists_what_was_found():
    """Without a checkpoint the message lists the artifacts, shortened."""
    paths = [f"logs/{number:03d}.csv" for number in range(40)]
    with pytest.raises(RegistryError, match=r"here: no checkpoint .* logs/000\.csv.* and 28 more"):
        choose_checkpoint(paths, "here")
    with pytest.raises(RegistryError, match="there are none"):
        choose_checkpoint([], "here")


def test_mlmodel_decides():
    """What a flavour names goes before a better name that it does not name."""
    paths = ["best.pt", "model/data/model.pth", "model/MLmodel"]
    packaging = Packaging({"model/data/model.pth": "pytorch"}, ("pytorch",))
    candidate = choose_checkpoint(paths, "here", packaging)
    assert candidate.path == "model/data/model.pth"
    assert "MLmodel names it (flavour pytorch)" in candidate.choice
    assert "also there: best.pt" in candidate.choice


def test_other_flavours_are_named():
    """A model of another kind is refused with what its MLmodel says; .pt2 gets its own advice."""
    packaging = Packaging({}, ("sklearn", "python_function"))
    with pytest.raises(RegistryError, match=r"flavours sklearn, python_function\): MLmodel"):
        choose_checkpoint(["MLmodel", "model.pkl"], "here", packaging)
    with pytest.raises(RegistryError, match="exported program"):
        choose_checkpoint(["data/model.pt2"], "here")
