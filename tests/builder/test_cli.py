"""``edge-builder`` as a person and as a script calls it: output, errors, exit codes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from builder.cli import main
from edge_agent.bundle import Bundle, hash_file
from edge_agent.checked import canonical_json
from tests.builder.squares import write_squares


def test_the_whole_way(registry, frames, tmp_path, capsys):
    """Build from the registry, verify, inspect, found a repository, publish, refresh."""
    bundle, repo = str(tmp_path / "bundle"), str(tmp_path / "repo")
    uri = ["--tracking-uri", registry.uri]
    arguments = ["build", "models:/squares@production", "-o", bundle, *uri, "--prove", "never"]
    assert main([*arguments, "--reference-data", str(frames), "--json"]) == 0
    output = capsys.readouterr()
    built = json.loads(output.out)
    assert (built["name"], built["version"], built["reference"]) == ("squares", 2, "fp32-graph")
    assert "best.pt, because" in output.err
    assert len(built["golden"]) == 12
    assert main(["verify", bundle]) == 0
    assert "12 golden frames are right" in capsys.readouterr().out
    assert main(["inspect", bundle, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["digest"] == built["digest"]
    assert main(["repo", "init", "--repo", repo]) == 0
    assert "root.json" in capsys.readouterr().out
    assert (tmp_path / "keys" / "releases.pem").exists()
    assert main(["publish", bundle, "--repo", repo, *uri, "--json"]) == 0
    published = json.loads(capsys.readouterr().out)
    assert published["digest"] == built["digest"] == published["tags"]["outpost.digest"]
    assert main(["repo", "refresh", "--repo", repo]) == 0
    assert "timestamp" in capsys.readouterr().out


def test_publish_without_the_registry_is_exit_code_10(bundle, registry, tmp_path, capsys):
    """The release is there; the exit code and one line say that the tags are not."""
    copy = tmp_path / "bundle"
    shutil.copytree(bundle.root, copy)
    document = dict(bundle.manifest.document)
    document["source"] = {**document["source"], "uri": "models:/squares/1"}
    (copy / "manifest.json").write_bytes(canonical_json(document))
    repo = ["--repo", str(tmp_path / "repo")]
    assert main(["repo", "init", *repo]) == 0
    publish = ["publish", str(copy), *repo, "--tracking-uri", "sqlite:///none.db"]
    assert main(publish) == 10
    output = capsys.readouterr()
    assert "squares 1, digest" in output.out
    assert "published, but the MLflow version has no tags: none.db" in output.err
    assert main([*publish, "--no-tag"]) == 0


def _damaged(bundle: Bundle, folder, how: str):
    copy = folder / how
    shutil.copytree(bundle.root, copy)
    manifest = copy / "manifest.json"
    match how:
        case "truncated":
            model = copy / "model" / "fp32.onnx"
            model.write_bytes(model.read_bytes()[:100])
        case "escaping":
            text = manifest.read_text().replace("profile.json", "../profile.json")
            manifest.write_text(text)
        case "cut":
            manifest.write_bytes(manifest.read_bytes()[:200])
        case "missing":
            (copy / "golden" / "expected.json").unlink()
        case "extra":
            (copy / "run.sh").write_text("echo")
    return copy


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("truncated", "model/fp32.onnx has 100 bytes instead of"),
        ("escaping", "'../profile.json' leaves the bundle"),
        ("cut", "not JSON"),
        ("missing", "golden/expected.json is missing"),
        ("extra", "run.sh is not in the manifest"),
    ],
)
def test_damaged_bundles_are_exit_code_4(bundle, tmp_path, capsys, how, message):
    """One line each, and the same from verify and publish."""
    copy = _damaged(bundle, tmp_path, how)
    repo = ["--repo", str(tmp_path / "repo")]
    assert main(["repo", "init", *repo]) == 0
    capsys.readouterr()
    for command in (["verify", str(copy)], ["publish", str(copy), *repo]):
        assert main(command) == 4
        output = capsys.readouterr()
        assert message in output.err and output.err.count("\n") == 1
        assert output.out == ""


def test_text_file_as_checkpoint_is_exit_code_5(tmp_path, capsys):
    """A text file is no checkpoint; nothing is left behind."""
    path = tmp_path / "best.pt"
    path.write_text("version https://git-lfs.github.com/spec/v1\n")
    assert main(["build", str(path), "-o", str(tmp_path / "out" / "b")]) == 5
    output = capsys.readouterr()
    assert "best.pt" in output.err.splitlines()[-1]
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["build", "models:/squares@prod"], 10, 'did you mean "production"?'),
        (["build", "models:/sqares/1"], 10, 'did you mean "squares"?'),
        (["build", "models:/"], 2, "models:/name@alias"),
        (["build", "nothing.pt"], 2, "no such file"),
        (["build", "ftp://host/best.pt"], 2, "ftp: is no scheme that sources may have"),
        (["build", "models:/squares/1", "--imgsz", "big"], 2, "height x width"),
        (["build", "models:/squares/1", "--imgsz", "0"], 2, "height x width"),
        (["build", "models:/squares/1", "--imgsz", "384x0"], 2, "height x width"),
        (["build", "models:/squares/1", "--imgsz", "65"], 5, "use 64"),
        (["build", "models:/squares/1", "--reference-data", "nowhere"], 2, "not a folder"),
    ],
)
def test_wrong_calls(registry, tmp_path, monkeypatch, capsys, arguments, code, message):
    """No such alias, model, file, size, folder: the exit code of its kind and one clear line."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.uri)
    monkeypatch.chdir(tmp_path)
    assert main([*arguments, "-o", "bundle"]) == code
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_missing_keys_and_repository_are_exit_code_9(bundle, tmp_path, capsys):
    """A folder that is no repository, and a keys folder that is empty."""
    publish = ["publish", str(bundle.root), "--repo", str(tmp_path / "repo")]
    assert main(publish) == 9
    assert "edge-builder repo init" in capsys.readouterr().err
    assert main(["repo", "init", "--repo", str(tmp_path / "repo")]) == 0
    (tmp_path / "empty").mkdir()
    assert main([*publish, "--keys", str(tmp_path / "empty")]) == 9
    assert "releases.pem: is missing" in capsys.readouterr().err


def test_bundle_that_lies_is_refused_by_verify(frames, tmp_path, capsys):
    """NaN weights, built on purpose: verify ends with 5 and says why."""
    path = write_squares(tmp_path / "bad.pt", nan=True)
    bundle = str(tmp_path / "b")
    build = ["build", str(path), "-o", bundle, "--reference-data", str(frames)]
    assert main(build) == 5
    assert main([*build, "--allow-nonfinite"]) == 0
    capsys.readouterr()
    assert main(["verify", bundle, "--json"]) == 5
    output = capsys.readouterr()
    assert json.loads(output.out)["ok"] is False
    assert "NaN or Inf" in output.err


def test_the_same_call_makes_the_same_bytes(squares, frames, tmp_path):
    """Two processes with other hash seeds: every file of the two bundles has the same SHA-256."""
    found = []
    for seed in ("1", "2"):
        output = tmp_path / seed / "bundle"
        command = [sys.executable, "-m", "builder", "build", str(squares), "-o", str(output)]
        command += ["--reference-data", str(frames), "--reference-image", str(frames / "0000.png")]
        command += ["--precision", "fp32,fp16", "--prove", "never"]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run(command, env=environment, check=True, capture_output=True)
        files = {path.relative_to(output): path for path in output.rglob("*") if path.is_file()}
        found.append({str(name): hash_file(path) for name, path in files.items()})
    assert found[0] == found[1] and len(found[0]) > 15


@pytest.mark.parametrize("command", [[], ["build"], ["publish"], ["repo", "init"]])
def test_help(command, capsys):
    """Each command explains itself."""
    assert main([*command, "--help"]) == 0
    assert "Usage: edge-builder" in capsys.readouterr().out


def test_help_is_quick():
    """Less than half a second of processor time, though mlflow and onnx are heavy."""
    code = (
        "import sys, time; from builder.cli import main; main(['--help']);"
        "print(time.process_time(), file=sys.stderr);"
        "heavy = {'mlflow', 'onnx', 'onnxruntime', 'cv2', 'numpy', 'tuf'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stderr) < 0.5, f"wall {time.monotonic() - started:.2f} s"


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_signals_leave_nothing(squares, tmp_path, sent):
    """Ctrl-C and systemd's stop in the middle of a build: exit code 130, no folder left."""
    fifo = tmp_path / "data" / "slow.png"
    fifo.parent.mkdir()
    os.mkfifo(fifo)  # the build waits here until somebody writes
    command = [sys.executable, "-m", "builder", "build", str(squares), "--prove", "never"]
    command += ["-o", str(tmp_path / "out" / "b"), "--reference-data", str(fifo.parent)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while not process.stderr.readline().startswith("graph:"):
            assert process.poll() is None
        assert [path.name[:3] for path in (tmp_path / "out").iterdir()] == [".b."]
        process.send_signal(sent)
        assert process.wait(timeout=30) == 130
    assert list((tmp_path / "out").iterdir()) == []
