"""The code uses no name that some TensorRT lacks without asking for it first."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from edge_agent.engines import compile as compiler
from edge_agent.engines.names import ALWAYS, SOMETIMES, find, missing
from tests.edge_agent.engines.conftest import Old

KNOWN = {part for name in (*ALWAYS, *SOMETIMES) for part in name.split(".")}
OURS = {"errors", "reason", "log", "append", "join", "split", "replace", "shape", "name", "ERROR"}
OURS |= {"INTERNAL_ERROR", "shapes", "flags", "precision", "capability", "max_batch", "get"}
OURS |= {"workspace_mb", "startswith", "__init__"}


def test_every_attribute_that_the_compiler_touches_is_listed():
    """A new call into TensorRT has to be looked up in its releases first."""
    tree = ast.parse(Path(compiler.__file__).read_text(encoding="utf-8"))
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert used - KNOWN - OURS == set()


def test_what_is_not_in_every_version_is_asked_for():
    """By `find`, never by attribute access on the module itself."""
    tree = ast.parse(Path(compiler.__file__).read_text(encoding="utf-8"))
    direct = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "trt"
    }
    assert direct <= {name.split(".")[0] for name in ALWAYS}


def test_the_list_is_true_of_the_installed_rtx(rtx):
    """Everything that is always there is there, the rest as the list says."""
    assert missing(rtx) == []
    for name, (_, _, in_rtx) in SOMETIMES.items():
        assert (find(rtx, name) is not None) == in_rtx, name


@pytest.mark.parametrize("version", [8.5, 10.3, 11.4])
def test_each_major_can_build(version):
    """Explicit batch or strong types, and flags where types are not strong."""
    there = {
        name
        for name, (first, last, _) in SOMETIMES.items()
        if first is not None and first <= version <= (last or 99)
    }
    strong = "NetworkDefinitionCreationFlag.STRONGLY_TYPED" in there
    assert strong or "NetworkDefinitionCreationFlag.EXPLICIT_BATCH" in there
    assert strong or {"BuilderFlag.FP16", "BuilderFlag.INT8"} <= there


def test_the_stand_in_for_8_5_has_what_the_list_says():
    """So that what it lets pass, the real one does."""
    old = Old()
    assert missing(old) == ["OnnxParser.num_errors"]  # an attribute of its objects
    for name, (first, _, _) in SOMETIMES.items():
        assert (find(old, name) is not None) == (first is not None and first <= 8.5), name
