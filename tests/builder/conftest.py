"""A checkpoint, pictures, an MLflow registry on SQLite and a bundle, each made once."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge_agent.bundle import Bundle
from tests.builder.squares import write_squares
from tests.bundles import write_frames


@dataclass(frozen=True)
class MlflowOnDisk:
    """A real registry with the model ``squares``.

    Version 1 (stage Production) lies at a path with best.pt and last.pt, 2 (alias ``production``)
    at ``runs:/…/weights``, 3 has no checkpoint, 4 is the file itself, 5 a logged model.
    """

    uri: str
    run_id: str


@pytest.fixture(scope="session")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The hand-made checkpoint."""
    return write_squares(tmp_path_factory.mktemp("checkpoint") / "squares.pt")


@pytest.fixture(scope="session")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 24 pictures."""
    return write_frames(tmp_path_factory.mktemp("data") / "frames", 24)


@pytest.fixture(scope="session")
def registry(
    tmp_path_factory: pytest.TempPathFactory, squares: Path, pytestconfig: pytest.Config
) -> Iterator[MlflowOnDisk]:
    """The registry; tests that tag use versions of their own."""
    pytest.importorskip("mlflow", reason="the builder extra is not installed")
    with pytest.MonkeyPatch.context() as patch:
        yield _make_registry(tmp_path_factory.mktemp("mlflow"), squares, pytestconfig, patch)


def _make_registry(
    root: Path, squares: Path, config: pytest.Config, patch: pytest.MonkeyPatch
) -> MlflowOnDisk:
    from builder.sources.registry import quiet_mlflow

    quiet_mlflow()
    from mlflow import MlflowClient

    uri = f"sqlite:///{root / 'mlflow.db'}"
    shutil.copy(empty_database(config), root / "mlflow.db")
    client = MlflowClient(uri, uri)
    patch.setenv("MLFLOW_TRACKING_URI", uri)  # mlflow looks up logged models only there
    experiment = client.create_experiment("line", artifact_location=(root / "artifacts").as_uri())
    run = client.create_run(experiment)
    run_id = run.info.run_id
    client.log_param(run_id, "imgsz", 64)
    client.log_param(run_id, "site", "north")
    client.log_metric(run_id, "metrics/mAP50B", 0.9)
    for name in ("best.pt", "last.pt"):
        shutil.copy(squares, root / name)
        client.log_artifact(run_id, str(root / name), "weights")
    (root / "results.csv").write_text("epoch\n1\n")
    client.log_artifact(run_id, str(root / "results.csv"), "logs")
    client.create_registered_model("squares")
    logged = client.create_logged_model(experiment, name="squares", source_run_id=run_id)
    (root / "model").mkdir()
    shutil.copy(squares, root / "model" / "best.pt")
    client.log_model_artifacts(logged.model_id, str(root / "model"))
    client.finalize_logged_model(logged.model_id, "READY")
    sources = [
        f"{run.info.artifact_uri}/weights",
        f"runs:/{run_id}/weights",
        f"{run.info.artifact_uri}/logs",
        f"runs:/{run_id}/weights/last.pt",
        f"models:/{logged.model_id}",
    ]
    for source in sources:
        client.create_model_version("squares", source, run_id)
    client.set_registered_model_alias("squares", "production", "2")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # stages are deprecated, and still found in the field
        client.transition_model_version_stage("squares", "1", "Production")
    return MlflowOnDisk(uri, run_id)


def empty_database(config: pytest.Config) -> Path:
    """A registry with nothing in it, kept in pytest's cache: mlflow needs seconds to make one."""
    import mlflow

    assert config.cache is not None
    kept = config.cache.mkdir("mlflow") / f"{mlflow.__version__}.db"
    if not kept.exists():
        fresh = kept.with_suffix(f".{os.getpid()}")
        mlflow.MlflowClient(f"sqlite:///{fresh}").search_registered_models()
        mlflow.MlflowClient(f"sqlite:///{fresh}").search_experiments()
        os.replace(fresh, kept)
    return kept


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory, squares: Path, frames: Path) -> Bundle:
    """A bundle of the checkpoint with reference data, not compared with PyTorch."""
    from builder.build import build
    from builder.options import BuildOptions

    options = BuildOptions(
        reference_data=frames, reference_image=frames / "0000.png", name="squares", prove="never"
    )
    return build(str(squares), tmp_path_factory.mktemp("built") / "bundle", options).bundle
