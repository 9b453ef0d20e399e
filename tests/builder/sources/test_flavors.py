"""MLflow's flavours on a real registry: folders with an MLmodel, as log_model leaves them."""

from __future__ import annotations

import shutil

import onnx
import pytest

from builder.build import build
from builder.checkpoint import read_checkpoint
from builder.graph import write_onnx
from builder.options import BuildOptions
from builder.sources import resolve
from edge_agent.errors import ModelError, RegistryError

MLMODEL = {
    "pytorch": "pytorch: {code: null, model_data: data, pytorch_version: 2.13.0}\n"
    "  python_function: {data: data, loader_module: mlflow.pytorch}",
    "onnx": "onnx: {data: model.onnx, onnx_version: 1.23.2}",
    "pyfunc": "python_function: {loader_module: mlflow.pyfunc.model, artifacts:"
    " {weights: {path: artifacts/line.pt, uri: line.pt}}}",
    "sklearn": "sklearn: {pickled_model: model.pkl}",
    "hostile": "pytorch: {model_data: data}",
}


@pytest.fixture(scope="module")
def packaged(registry, squares, tmp_path_factory):
    """The model ``packaged``, one version per entry above; name -> version."""
    from mlflow import MlflowClient

    client, root = MlflowClient(registry.uri, registry.uri), tmp_path_factory.mktemp("flavors")
    client.create_registered_model("packaged")
    graph = write_onnx(read_checkpoint(squares), height=64, width=64)
    for name, flavor in MLMODEL.items():
        for folder in ("data", "artifacts"):
            (root / name / folder).mkdir(parents=True)
        (root / name / "MLmodel").write_text(f"flavors:\n  {flavor}\n")
        client.create_model_version("packaged", str(root / name))
    shutil.copy(squares, root / "pytorch" / "data" / "model.pth")
    shutil.copy(squares, root / "pytorch" / "artifacts" / "best.pt")
    shutil.copy(squares, root / "pyfunc" / "artifacts" / "line.pt")
    (root / "pyfunc" / "python_model.pkl").write_bytes(b"cposix\nsystem\n(S'true'\ntR.")
    (root / "hostile" / "data" / "model.pth").write_bytes(b"cposix\nsystem\n(S'true'\ntR.")
    options = {"save_as_external_data": True, "location": "w.data", "size_threshold": 200}
    onnx.save(graph, root / "onnx" / "model.onnx", **options)
    return {name: version for version, name in enumerate(MLMODEL, 1)}


@pytest.mark.parametrize(
    ("flavor", "choice", "reference"),
    [
        ("pytorch", "data/model.pth, because MLmodel names it (flavour pytorch)", "yolov5u"),
        ("onnx", "model.onnx, the only ONNX file; there is no checkpoint", "yolov5u"),
        ("pyfunc", "artifacts/line.pt, the only checkpoint, the pyfunc wraps it", "yolov5u"),
    ],
)
def test_flavours_become_bundles(registry, packaged, tmp_path, flavor, choice, reference):
    """Taken, with the reason, and built; the ONNX with the weights that lie beside it."""
    source = f"models:/packaged/{packaged[flavor]}"
    built = build(source, tmp_path / "b", BuildOptions(prove="never"), tracking_uri=registry.uri)
    assert built.version.choice.startswith(choice)
    assert built.bundle.manifest.head == reference


def test_foreign_and_hostile_models_are_refused(registry, packaged, tmp_path):
    """Another kind is named with its flavour; a pickle that would run something, by the reader."""
    ask = {"downloads": tmp_path, "tracking_uri": registry.uri}
    with pytest.raises(RegistryError, match=r"flavours sklearn\): MLmodel"):
        resolve(f"models:/packaged/{packaged['sklearn']}", **ask)
    with pytest.raises(ModelError, match=r"model\.pth"):
        source = f"models:/packaged/{packaged['hostile']}"
        build(source, tmp_path / "b", BuildOptions(), tracking_uri=registry.uri)
