"""MLflow over HTTP: a real server that asks for a password and hands artifacts through."""

from __future__ import annotations

import shutil
import threading
from importlib.util import find_spec

import pytest

from builder.build import build
from builder.options import BuildOptions
from builder.publish import TAG_DIGEST, publish
from builder.sources import resolve
from builder.sources.registry import Registry, quiet_mlflow
from builder.watch.hook import listening
from edge_agent.bundle import hash_file
from edge_agent.errors import RegistryError
from edge_agent.release import repo as release_repo
from tests.builder.conftest import empty_database
from tests.builder.mlflow_server import PASSWORD, USER, mlflow_server

pytestmark = pytest.mark.skipif(
    find_spec("flask_wtf") is None, reason="the MLflow server (mlflow[auth]) is not installed"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory, pytestconfig, squares):
    """The server with the model ``squares``: version 1 a run's folder, 2 a logged model."""
    quiet_mlflow()
    from mlflow import MlflowClient

    root = tmp_path_factory.mktemp("server")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        with mlflow_server(root, empty_database(pytestconfig)) as running:
            patch.setenv("MLFLOW_TRACKING_USERNAME", USER)
            patch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
            client = MlflowClient(running.uri, running.uri)
            experiment = client.create_experiment("line")
            run = client.create_run(experiment).info
            (root / "model").mkdir()
            shutil.copy(squares, root / "model" / "best.pt")
            client.log_artifact(run.run_id, str(root / "model" / "best.pt"), "weights")
            logged = client.create_logged_model(experiment, name="sq", source_run_id=run.run_id)
            client.log_model_artifacts(logged.model_id, str(root / "model"))
            client.finalize_logged_model(logged.model_id, "READY")
            client.create_registered_model("squares")
            client.create_model_version("squares", f"runs:/{run.run_id}/weights", run.run_id)
            client.create_model_version(
                "squares", f"models:/{logged.model_id}", run.run_id, model_id=logged.model_id
            )
            client.set_registered_model_alias("squares", "production", "1")
            yield running


@pytest.mark.slow
def test_artifacts_come_through_the_server(server, squares, tmp_path):
    """A logged model and a run; the user's name and password are those of the environment."""
    found = resolve("models:/squares/2", downloads=tmp_path, tracking_uri=server.uri)
    assert found.sha256 == hash_file(squares)
    run = resolve(f"runs:/{found.run_id}", downloads=tmp_path, tracking_uri=server.uri)
    assert (run.sha256, run.version) == (found.sha256, 1)


@pytest.mark.slow
def test_password_in_the_address(server, tmp_path, monkeypatch):
    """Taken from the URL; without one, or with a wrong one, the line says what to set."""
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME")
    monkeypatch.delenv("MLFLOW_TRACKING_PASSWORD")
    ask = {"downloads": tmp_path, "source": "models:/squares@production"}
    assert resolve(tracking_uri=server.signed_uri, **ask).version == 1
    wrong = server.signed_uri.replace(PASSWORD, "wrong-secret")
    for uri in (server.uri, wrong):
        with pytest.raises(RegistryError, match="MLFLOW_TRACKING_USERNAME") as caught:
            resolve(tracking_uri=uri, **ask)
        assert "wrong-secret" not in str(caught.value)


@pytest.mark.slow
def test_from_alias_to_tags(server, frames, tmp_path):
    """Built, published and tagged, all through the server."""
    options = BuildOptions(reference_data=frames, prove="never")
    source = "models:/squares@production"
    bundle = build(source, tmp_path / "b", options, tracking_uri=server.uri).bundle
    repository = release_repo.init(tmp_path / "repo", tmp_path / "keys")
    done = publish(bundle, repository.repo, repository.keys, tracking_uri=server.uri)
    assert not done.registry_error
    tags = Registry.open(server.uri).tags("squares", 1)
    assert tags[TAG_DIGEST] == bundle.manifest.digest


@pytest.mark.slow
def test_webhook_wakes_the_watcher(server):
    """A moved alias is heard of at once: MLflow's own delivery, signature and all."""
    from mlflow import MlflowClient
    from mlflow.entities.webhook import WebhookAction, WebhookEntity, WebhookEvent

    client, woken = MlflowClient(server.uri, server.uri), threading.Event()
    secret = "a secret of this test"
    moved = WebhookEvent(WebhookEntity.MODEL_VERSION_ALIAS, WebhookAction.CREATED)
    with listening(("127.0.0.1", 0), secret.encode(), woken.set) as (host, port):
        client.create_webhook("watch", f"http://{host}:{port}/", [moved], secret=secret)
        client.set_registered_model_alias("squares", "canary", "2")
        assert woken.wait(timeout=30)
