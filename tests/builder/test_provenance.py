"""Where a model comes from, and that a rebuild says the same."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pytest

from builder.build import build
from builder.options import BuildOptions
from builder.provenance import dvc_hash
from builder.sources.run import RunFacts, as_of, run_facts
from tests.builder.forge import dump, network, write_archive
from tests.bundles import write_frames

OPTIONS = BuildOptions(prove="never")


def test_run_in_the_manifest(registry, tmp_path):
    """Run, parameters and metrics of a registered version; none of an empty run's commit."""
    built = build("models:/squares/1", tmp_path / "b", OPTIONS, tracking_uri=registry.uri)
    source = built.bundle.manifest.source
    assert source["run_id"] == registry.run_id
    assert source["metrics"] == {"metrics/mAP50B": 0.9}
    assert source["parameters"] == {"imgsz": 64}  # the checkpoint's own, a number
    assert source["run_parameters"] == {"imgsz": "64", "site": "north"}  # the run's, texts
    assert source["git"] == {} and source["datasets"] == []


def test_what_is_logged_later_changes_nothing(registry, tmp_path):
    """A metric and a tag that arrive after the registration: the digest stays."""
    from mlflow import MlflowClient

    first = build("models:/squares/1", tmp_path / "b", OPTIONS, tracking_uri=registry.uri)
    client = MlflowClient(registry.uri, registry.uri)
    client.log_metric(registry.run_id, "metrics/mAP50B", 0.1, step=99)
    client.log_metric(registry.run_id, "late", 1.0)
    client.set_tag(registry.run_id, "note", "looked at")
    again = build("models:/squares/1", tmp_path / "b", OPTIONS, tracking_uri=registry.uri)
    assert again.bundle.manifest.digest == first.bundle.manifest.digest


def test_run_with_commit_and_datasets(registry, tmp_path):
    """The commit tag and the datasets' digests are taken over; params cannot be changed."""
    from mlflow import MlflowClient
    from mlflow.entities import Dataset, DatasetInput
    from mlflow.exceptions import MlflowException

    client = MlflowClient(registry.uri, registry.uri)
    tags = {"mlflow.source.git.commit": "a" * 40}
    run = client.create_run(client.get_run(registry.run_id).info.experiment_id, tags=tags)
    used = Dataset(name="scratches", digest="5f3e", source_type="local", source="x")
    client.log_inputs(run.info.run_id, datasets=[DatasetInput(dataset=used)])
    client.log_param(run.info.run_id, "lr0", "0.01")
    with pytest.raises(MlflowException):
        client.log_param(run.info.run_id, "lr0", "0.02")
    facts = run_facts(client, run.info.run_id, 2**42)
    assert facts == RunFacts({"lr0": "0.01"}, {}, "a" * 40, (("scratches", "5f3e"),))
    assert run_facts(client, "0" * 32, 2**42) == run_facts(client, None, 0) == RunFacts()


def test_metric_at_a_moment():
    """The highest step that was logged by then; nothing before the first."""
    points = [(100, 1, 0.5), (200, 2, 0.7), (300, 1, 0.1)]
    history = [SimpleNamespace(timestamp=t, step=s, value=v) for t, s, v in points]
    assert [as_of(history, until) for until in (99, 150, 250, 999)] == [None, 0.5, 0.7, 0.7]


def test_checkpoint_speaks_for_itself(frames, tmp_path):
    """Arguments, metrics and commit that training wrote into the file; odd values are left out."""
    top = {
        "model": network(),
        "train_args": {"lr0": 0.01, "data": "data.yaml", "resume": False, "classes": [1],
                       "odd": "\ud800", "huge": 10**400, "nan": float("nan")},
        "train_metrics": {"fitness": 0.5},
        "git": {"commit": "c0ffee", "branch": "main", "origin": None, "root": "/home/somebody"},
    }  # fmt: skip
    path = write_archive(tmp_path / "best.pt", dump(top))
    options = BuildOptions(reference_data=frames, prove="never", size=(32, 32))
    source = build(str(path), tmp_path / "b", options).bundle.manifest.source
    plain = {"lr0": 0.01, "data": "data.yaml", "resume": False, "odd": "?"}
    assert source["parameters"] == plain
    assert source["metrics"] == {"fitness": 0.5}
    assert source["git"] == {"commit": "c0ffee", "branch": "main"}
    assert source["reference_data"]["images"] == 24
    assert len(source["reference_data"]["sha256"]) == 64


def test_reference_data_is_named_by_what_is_in_it(tmp_path):
    """Another byte or another name is another digest; DVC's hash is taken where it has one."""
    from builder.images import Folder
    from builder.provenance import data_facts

    folder = write_frames(tmp_path / "val", 3)
    facts = data_facts(Folder(folder))
    assert facts["name"] == "val" and facts["images"] == 3 and "dvc" not in facts
    shutil.copytree(folder, tmp_path / "copy" / "val")
    assert data_facts(Folder(tmp_path / "copy" / "val")) == facts
    (folder / "0000.png").rename(folder / "9999.png")
    assert data_facts(Folder(folder))["sha256"] != facts["sha256"]
    pointer = "outs:\n- md5: 22a1a2931c8370d3aeedd7183606fd7f.dir\n  size: 14\n  hash: md5\n"
    (tmp_path / "val.dvc").write_text(pointer + "  path: val\n")
    hash_ = {"file": "val.dvc", "hash": "22a1a2931c8370d3aeedd7183606fd7f.dir"}
    assert data_facts(Folder(folder))["dvc"] == hash_ == dvc_hash(folder)
    (folder / "day").mkdir()
    assert dvc_hash(folder / "day") == hash_
    (tmp_path / "val.dvc").write_text("no pointer")
    assert dvc_hash(folder) is None
