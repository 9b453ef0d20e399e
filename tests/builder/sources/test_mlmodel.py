"""What MLmodel files say, also when they are damaged or hostile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.sources.mlmodel import NOTHING, read_mlmodel

PYTORCH = """
artifact_path: model
flavors:
  python_function: {data: data, loader_module: mlflow.pytorch, python_version: 3.11.7}
  pytorch: {code: null, model_data: data, pytorch_version: 2.13.0}
"""
ONNX = """
flavors:
  onnx: {data: model.onnx, onnx_version: 1.23.2, providers: [CPUExecutionProvider]}
  python_function: {data: model.onnx, loader_module: mlflow.onnx}
"""
PYFUNC = """
flavors:
  python_function:
    loader_module: mlflow.pyfunc.model
    python_model: python_model.pkl
    artifacts:
      weights: {path: artifacts/line.pt, uri: /home/me/line.pt}
      notes: {path: artifacts/notes.txt, uri: x}
"""


@pytest.mark.parametrize(
    ("text", "path", "paths", "files"),
    [
        (PYTORCH, "MLmodel", ["MLmodel", "data/model.pth"], {"data/model.pth": "pytorch"}),
        (PYTORCH, "a/MLmodel", ["a/data/model.pth"], {"a/data/model.pth": "pytorch"}),
        (PYTORCH, "a/MLmodel", ["data/model.pth", "b/data/model.pth"], {}),
        (ONNX, "MLmodel", ["model.onnx", "other.onnx"], {"model.onnx": "onnx"}),
        (
            PYFUNC,
            "m/MLmodel",
            ["m/artifacts/line.pt", "m/artifacts/notes.txt", "m/python_model.pkl"],
            {"m/artifacts/line.pt": "python_function"},
        ),
    ],
)
def test_flavours(text, path, paths, files):
    """pytorch, onnx and a pyfunc's weights; only artifacts that are there are named."""
    assert read_mlmodel(text, path, paths).files == files


@pytest.mark.parametrize(
    "text",
    [
        "", "flavors: [a]", "- 1", "{", "flavors: {pytorch: data}", "flavors: {pytorch: {}}",
        "flavors: {onnx: {data: 3}}", "!!python/object/apply:os.system ['true']",
        "flavors: {pytorch: {model_data: ../../etc}}", "flavors: {onnx: {data: /etc/x.onnx}}",
    ],
)  # fmt: skip
def test_nonsense_names_nothing(text):
    """Damage, tags that would run something, paths that lead out: no file is named."""
    assert read_mlmodel(text, "MLmodel", ["data/model.pth", "etc/x.onnx"]).files == {}


def test_nested_anchors_are_harmless():
    """A YAML bomb stays small: nothing is expanded."""
    bomb = "a: &a [x]\n" + "\n".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]" for i in range(12)
    )
    assert read_mlmodel(bomb, "MLmodel", []) == NOTHING


@given(st.text(max_size=200))
def test_any_text_is_read(text):
    """No text makes it fail."""
    assert read_mlmodel(text, "MLmodel", ["a.pt"]).flavors is not None
