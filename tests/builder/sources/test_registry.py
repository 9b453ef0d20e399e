"""A real MLflow registry on SQLite."""

from __future__ import annotations

import errno
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from builder.sources import resolve
from builder.sources.reference import parse_reference
from builder.sources.registry import Registry, without_password
from edge_agent.bundle import hash_file
from edge_agent.errors import RegistryError, StorageError


@pytest.mark.parametrize(
    ("reference", "version", "taken"),
    [
        ("models:/squares@production", 2, "best.pt"),
        ("models:/squares/1", 1, "best.pt"),
        ("models:/squares/Production", 1, "best.pt"),
        ("models:/squares/4", 4, "last.pt"),
        ("models:/squares/latest", 5, "best.pt"),
    ],
)
def test_fetch(registry, squares, tmp_path, reference, version, taken):
    """Path, runs:/, the file itself and a logged model: each gives its checkpoint."""
    found = resolve(reference, downloads=tmp_path, tracking_uri=registry.uri)
    assert (found.name, found.version) == ("squares", version)
    assert found.uri == f"models:/squares/{version}"
    assert found.checkpoint.name == taken
    assert found.checkpoint.is_relative_to(tmp_path)
    assert found.sha256 == hash_file(squares)
    assert found.run_id == registry.run_id
    assert found.run.params == {"imgsz": "64", "site": "north"}
    assert found.run.metrics == {"metrics/mAP50B": 0.9}
    assert found.created.startswith("20") and found.created.endswith("Z")


def test_version_that_is_a_whole_run(registry, squares, tmp_path):
    """``runs:/<id>`` without a path, which mlflow itself refuses to list."""
    from mlflow import MlflowClient

    client = MlflowClient(registry.uri, registry.uri)
    client.create_registered_model("whole")
    client.create_model_version("whole", f"runs:/{registry.run_id}", registry.run_id)
    found = resolve("models:/whole/1", downloads=tmp_path, tracking_uri=registry.uri)
    client.delete_registered_model("whole")  # the registry is shared by this module's tests
    assert found.sha256 == hash_file(squares)


def test_full_disk_in_a_download_is_a_storage_error(registry, tmp_path, monkeypatch):
    """mlflow wraps the disk's refusal in its own error; ours names the disk."""
    from mlflow import artifacts
    from mlflow.exceptions import MlflowException

    def fail(**_: object) -> str:
        try:
            raise OSError(errno.ENOSPC, "No space left", str(tmp_path / "best.pt"))
        except OSError as error:
            raise MlflowException("Failed to download artifacts") from error

    monkeypatch.setattr(artifacts, "download_artifacts", fail)
    with pytest.raises(StorageError, match=r"best\.pt: the disk is full"):
        resolve("models:/squares/1", downloads=tmp_path, tracking_uri=registry.uri)


def test_two_candidates_are_named(registry, tmp_path):
    """The choice says what else was there."""
    found = resolve("models:/squares/1", downloads=tmp_path, tracking_uri=registry.uri)
    assert found.choice.startswith("best.pt, because") and "last.pt" in found.choice


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("models:/square@production", r'no model .square.*squares; did you mean "squares"\?'),
        ("models:/squares@prod", r'no alias .prod.*: production; did you mean "production"\?'),
        ("models:/squares/9", r"no models:/squares/9; its versions: 1, 2, 3, 4, 5"),
        ("models:/squares/Staging", r"no models:/squares/Staging; its versions"),
        ("models:/squares/3", r"squares 3 .*no checkpoint .*results\.csv"),
    ],
)
def test_what_is_not_there(registry, tmp_path, reference, message):
    """No model, alias, version, stage or checkpoint: one line with what there is."""
    with pytest.raises(RegistryError, match=message) as caught:
        resolve(reference, downloads=tmp_path, tracking_uri=registry.uri)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 10


@pytest.mark.parametrize(
    ("path", "choice"),
    [("", "weights/best.pt, because"), ("/weights", "best.pt, because"),
     ("/weights/last.pt", "last.pt, the version's own file")],
)  # fmt: skip
def test_run(registry, squares, tmp_path, path, choice):
    """A run that nobody registered: the whole of it, a folder, the file itself."""
    source = f"runs:/{registry.run_id}{path}"
    found = resolve(source, downloads=tmp_path, tracking_uri=registry.uri)
    assert found.choice.startswith(choice)
    assert found.uri == f"runs:/{registry.run_id}/weights/{found.checkpoint.name}"
    assert found.sha256 == hash_file(squares)
    assert (found.version, found.registered) == (1, False)
    assert found.run.params == {"imgsz": "64", "site": "north"}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("runs:/0123", "no run '0123'"),
        ("runs:/{}/logs", r"logs: no checkpoint.*results\.csv"),
        ("runs:/{}/weigths", r"nothing is there; the run: its artifacts: .*weights/best\.pt"),
    ],
)
def test_wrong_run(registry, tmp_path, source, message):
    """No such run, nothing in it: one line."""
    with pytest.raises(RegistryError, match=message):
        source = source.format(registry.run_id)
        resolve(source, downloads=tmp_path, tracking_uri=registry.uri)


def test_logged_model_without_the_environment(registry, tmp_path, monkeypatch):
    """The address that is given suffices, also where mlflow itself would look elsewhere."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.chdir(tmp_path)
    found = resolve("models:/squares/5", downloads=tmp_path / "d", tracking_uri=registry.uri)
    assert found.version == 5
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_promoted(registry):
    """What an alias, a stage, a version and the newest mean now; nothing for a missing alias."""
    opened = Registry.open(registry.uri)
    asked = ["@production", "/Production", "/3", "/latest", "@canary", "/Staging"]
    found = [opened.promoted(parse_reference(f"models:/squares{one}")) for one in asked]
    assert found == [2, 1, 3, 5, None, None]
    with pytest.raises(RegistryError, match="no model"):
        opened.promoted(parse_reference("models:/circles@production"))


def test_tags(registry):
    """Tags are written and read back."""
    opened = Registry.open(registry.uri)
    opened.tag("squares", 3, {"outpost.test": "yes"})
    assert opened.tags("squares", 3)["outpost.test"] == "yes"


def test_looking_creates_nothing(tmp_path, monkeypatch):
    """A registry that is not there stays absent; mlflow alone would make an empty one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for uri in (None, "sqlite:///other.db", "file:mlruns", "mlruns"):
        with pytest.raises(RegistryError, match=r"no MLflow database here|no such folder"):
            Registry.open(uri)
    assert list(tmp_path.iterdir()) == []


def test_environment_names_the_registry(registry, tmp_path, monkeypatch):
    """MLFLOW_TRACKING_URI is used when nothing is said."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.uri)
    assert resolve("models:/squares/1", downloads=tmp_path).version == 1


@pytest.mark.parametrize("content", [b"not a database, but long enough to be taken for one", b""])
def test_foreign_file(tmp_path, content):
    """A file that is no registry is said to be none and stays as it was."""
    path = tmp_path / "mlflow.db"
    path.write_bytes(content)
    with pytest.raises(RegistryError, match=r"mlflow\.db: .*MLflow"):
        Registry.open(f"sqlite:///{path}")
    assert path.read_bytes() == content


def test_old_schema_says_upgrade(registry, tmp_path):
    """A database of another MLflow is not migrated by us."""
    path = tmp_path / "old.db"
    original = sqlite3.connect(registry.uri.removeprefix("sqlite:///"))
    copy = sqlite3.connect(path)
    original.backup(copy)
    copy.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    copy.commit()
    copy.close()
    original.close()
    with pytest.raises(RegistryError, match="mlflow db upgrade"):
        resolve("models:/squares/1", downloads=tmp_path, tracking_uri=f"sqlite:///{path}")


def test_password_is_not_shown():
    """Addresses with credentials reach messages without them."""
    assert without_password("http://me:secret@host:5000/x") == "http://me:***@host:5000/x"
    assert without_password("sqlite:///a.db") == "sqlite:///a.db"


def test_server_that_is_down(tmp_path, monkeypatch):
    """An unreachable server is one line, without the password; the user's settings are kept."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(RegistryError, match="check the address") as caught:
        resolve(
            "models:/squares/1",
            downloads=tmp_path,
            tracking_uri="http://me:secret@127.0.0.1:9",
        )
    assert "secret" not in str(caught.value) and "\n" not in str(caught.value)


def test_quiet(registry, tmp_path):
    """Nothing of mlflow's or alembic's log lines and bars reaches stderr or stdout."""
    code = (
        "from builder.sources import resolve; from pathlib import Path;"
        f"resolve('models:/squares/1', downloads=Path({str(tmp_path)!r}),"
        f" tracking_uri={registry.uri!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    assert (done.stdout, done.stderr) == ("", "")
