"""``edge-builder watch`` on a real registry, a real build and a real release repository."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from builder.cli import main
from edge_agent.release import repo as release_repo
from tests.builder.squares import write_squares


@pytest.fixture
def line(registry, frames, tmp_path, monkeypatch):
    """A copy of the registry with alias ``line`` on version 1, a repository, and the command."""
    from mlflow import MlflowClient

    shutil.copy(registry.uri.removeprefix("sqlite:///"), tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.chdir(tmp_path)
    client = MlflowClient(uri, uri)
    client.set_registered_model_alias("squares", "line", "1")
    release_repo.init(tmp_path / "repo", tmp_path / "keys")
    Path("build.toml").write_text(f'reference-data = "{frames}"\nprove = "never"\n')
    return client


WATCH = ["watch", "models:/squares@line", "--repo", "repo", "--config", "build.toml", "--json"]


def events(text):
    """The event lines, without warnings."""
    lines = [json.loads(line) for line in text.splitlines()]
    return [line for line in lines if not line["event"].endswith("warning")]


def test_once(line, tmp_path, capsys):
    """Published and tagged; again: nothing; then a version that fails, and its tags."""
    assert main([*WATCH, "--once"]) == 0
    found = events(capsys.readouterr().out)
    assert [one["event"] for one in found] == ["build.started", "release.published"]
    tags = line.get_model_version("squares", "1").tags
    assert tags["outpost.status"] == "published"
    assert tags["outpost.digest"] == found[1]["digest"]
    assert Path(tags["outpost.link"].removeprefix("file://")).is_file()
    published_at = tags["outpost.published_at"]
    assert main([*WATCH, "--once"]) == 0
    assert capsys.readouterr().out == ""
    line.set_registered_model_alias("squares", "line", "3")
    assert main([*WATCH, "--once"]) == 10  # no checkpoint in it: may come yet, is tried again
    line.set_registered_model_alias("squares", "line", "1")
    assert main([*WATCH, "--once"]) == 0
    tags = line.get_model_version("squares", "1").tags
    assert tags["outpost.published_at"] == published_at
    assert sorted(path.name for path in tmp_path.joinpath("watch").rglob("*")) == [
        "memory.json", "memory.lock", "squares-line"
    ]  # fmt: skip


def test_failed_build_is_tagged(line, tmp_path, capsys):
    """NaN in the weights: exit code 5 once, the reason on the version, no release."""
    bad = write_squares(tmp_path / "best.pt", nan=True)
    source = line.create_model_version("squares", str(bad))
    line.set_registered_model_alias("squares", "line", source.version)
    assert main([*WATCH, "--once"]) == 5
    assert [one["event"] for one in events(capsys.readouterr().out)][-1] == "build.failed"
    tags = line.get_model_version("squares", source.version).tags
    assert tags["outpost.status"] == "failed" and "not finite" in tags["outpost.error"]
    assert tags["outpost.error"].startswith("best.pt: ")  # not the work folder, which is gone
    assert main([*WATCH, "--once"]) == 0
    assert main([*WATCH, "--once", "--retry"]) == 5


def test_classes_that_changed_are_told(line, tmp_path, capsys):
    """Consumers depend on them: a warning when the next version has others."""
    assert main([*WATCH, "--once"]) == 0
    path = write_squares(tmp_path / "best.pt", names=("red", "scratch", "blue"))
    source = line.create_model_version("squares", str(path))
    line.set_registered_model_alias("squares", "line", source.version)
    capsys.readouterr()
    assert main([*WATCH, "--once"]) == 0
    lines = [json.loads(one) for one in capsys.readouterr().out.splitlines()]
    told = [(one["event"], one["text"]) for one in lines if "classes" in one.get("text", "")]
    text = "classes differ from version 1: without green; new scratch"
    assert told == [("build.warning", text)]  # once: the publication does not repeat it


def promote(line, path):
    """A further version from a checkpoint, promoted; its number."""
    made = line.create_model_version("squares", str(path))
    line.set_registered_model_alias("squares", "line", made.version)
    return int(made.version)


def test_compared_with_the_release_before(line, tmp_path, capsys):
    """What the classes look at, against the newest older release; a lost one holds nothing up."""
    repository = release_repo.ReleaseRepository.open(tmp_path / "repo")
    assert main([*WATCH, "--once"]) == 0
    first = repository.release("squares", 1)
    assert "saliency" not in first.document
    new = write_squares(tmp_path / "best.pt", names=("red", "scratch", "blue"))
    version = promote(line, new)
    assert main([*WATCH, "--once"]) == 0
    looks = repository.release("squares", version).document["saliency"]
    assert looks["previous"] == {"version": 1, "digest": first.digest}
    assert looks["classes"]["red"]["stability"] == 1.0
    assert "stability" not in looks["classes"]["scratch"]
    graph = repository.release("squares", version).entry("model/fp32.onnx")
    repository.blob(graph).unlink()
    version = promote(line, write_squares(tmp_path / "next.pt", tilt=0.2))
    capsys.readouterr()
    assert main([*WATCH, "--once"]) == 0
    lines = [json.loads(one) for one in capsys.readouterr().out.splitlines()]
    texts = [one["text"] for one in lines if one["event"] == "build.warning"]
    told = [one for one in texts if one.startswith("not compared with the release before")]
    assert len(told) == 1 and "is missing" in told[0]
    assert "saliency" not in repository.release("squares", version).document


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["models:/squares/3"], 2, "a version never moves"),
        (["models:/squares@line", "--repo", "nowhere"], 9, "nowhere"),
        (["models:/squares@line", "--keys", "nowhere"], 9, "releases.pem"),
        (["models:/squares@line", "--listen", "127.0.0.1:0"], 2, "--secret-file"),
        (["models:/squares@line", "--reference-data", "nowhere"], 2, "not a folder"),
        (["models:/squares@line", "--previous", "nowhere"], 4, "nowhere"),
        (["models:/squares@line", "--labels", "nowhere"], 2, "give --reference-data too"),
        (["models:/squares@line", "--precision", "int8"], 2, "at least 8 reference images"),
        (["models:/a b@line"], 2, "model name 'a b' cannot be a file name; give one with --name"),
        (["models:/squares@line", "--poll", "0"], 2, "--poll"),
        (["models:/squares@line", "--tracking-uri", "sqlite:///no.db", "--once"], 10, None),
    ],
)
def test_wrong_calls(line, capsys, arguments, code, message):
    """Before anything is built, in one line."""
    repo = [] if "--repo" in arguments else ["--repo", "repo"]
    assert main(["watch", *arguments, *repo]) == code
    output = capsys.readouterr()
    assert message is None or message in output.err.splitlines()[-1]


def test_no_engines_are_offered(capsys):
    """They would be thrown away with the bundle that was published."""
    assert main(["watch", "models:/squares@line", "--repo", "repo", "--engine", "trt-rtx"]) == 2
    assert "--engine" in capsys.readouterr().err


def test_service_ends_on_sigterm(line, tmp_path):
    """The loop looks and waits; systemd's stop ends it in order, and another may begin."""
    watch = ["watch", "models:/squares@nobody", "--repo", "repo", "--json"]
    command = [sys.executable, "-m", "builder", *watch]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["event"] == "alias.missing"
        assert main([*watch, "--once"]) == 2  # one at a time
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 130
    assert main([*watch, "--once"]) == 0
