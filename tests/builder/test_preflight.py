"""Wrong options cost a second: they are told before anything is fetched or computed."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from builder import preflight
from builder.build import build
from builder.cli import main
from builder.engines import EngineOptions
from builder.few import few_for_calibration, few_for_golden, few_for_profile
from builder.options import BuildOptions
from builder.preflight import check_options
from edge_agent.errors import BundleError, ConfigError, ModelError, UsageError

FAR = "models:/squares@production"
"""A source that is never asked: no registry is there."""


@pytest.fixture
def here(frames, tmp_path, monkeypatch) -> Path:
    """A folder with images, labels that are right and wrong, limits, and no registry."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///nowhere.db")
    shutil.copytree(frames, "images")
    for name, text in (("labels", "0 0.5 0.5 0.1 0.1"), ("bad-labels", "0 0.5 0.5 0.1")):
        Path(name).mkdir()
        Path(name, "0000.txt").write_text(text)
    Path("few").mkdir()
    for number in range(3):
        shutil.copy(frames / f"000{number}.png", "few")
    Path("limits.toml").write_text("[limits.int8]\nmap_los = 1.0\n")
    Path("no.png").write_text("no picture")
    Path("full").mkdir()
    Path("full", "thesis.txt").write_text("")
    return tmp_path


CASES = [
    (["--config", "none.toml"], 3, "none.toml: No such file or directory; name a TOML file"),
    (["--config", "limits.toml"], 3, 'limits.int8.map_los: is not a known key; did you mean "map_'),
    (["--name", "a b"], 2, "model name 'a b' cannot be a file name; give one with --name"),
    (["--previous", "images"], 4, "images/manifest.json: No such file or directory; is images a"),
    (["--reference-data", "nowhere"], 2, "nowhere: not a folder; --reference-data wants"),
    (["--reference-image", "no.png"], 6, "no.png: is not a picture that can be read; give a PNG"),
    (["--labels", "labels"], 2, "--labels are of the reference images; give --reference-data too"),
    (["--labels", "no", "--reference-data", "images"], 2, "no: not a folder; --labels wants YOLO"),
    (["--labels", "few", "--reference-data", "images"], 2, "few: none of the 24 reference images"),
    (
        ["--labels", "bad-labels", "--reference-data", "images"], 6,
        "bad-labels/0000.txt:1: has 4 fields",
    ),
    (["--precision", "int8"], 2, "--precision int8 is calibrated on at least 8 reference images;"),
    (
        ["--precision", "int8-cpu", "--strict", "--reference-data", "few"], 5,
        "int8-cpu is calibrated on at least 8 reference images, few has 3; give more",
    ),
    (["--embedding"], 2, "--embedding: give --reference-data, 20 images or more"),
    (["--precision", "int4"], 2, '--precision \'int4\': there are fp32, fp16, int8'),
    (["--imgsz", "big"], 2, "--imgsz 'big': write one number, or height x width"),
    (["-o", "full"], 2, "full: exists and is not a bundle; choose another -o or empty it"),
    (["-o", "no.png"], 2, "no.png: is not a folder; choose another -o"),
    (["--engine", "trt-rtx", "--compute-capability", "sm86"], 2, "write it like 8.6"),
    (["--engine", "tensorrt", "--compute-capability", "8.6"], 2, "for the GPU of this machine"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "code", "message"), CASES, ids=lambda one: str(one)[:40])
def test_told_before_the_registry_is_asked(here, capsys, arguments, code, message):
    """Its own exit code and next step, not that of the registry, which does not answer."""
    before = sorted(here.rglob("*"))
    output = [] if "-o" in arguments else ["-o", "bundle"]
    assert main(["build", FAR, *output, *arguments]) == code
    assert message in (last := capsys.readouterr().err.splitlines()[-1]), last
    assert sorted(here.rglob("*")) == before


def test_right_options_get_as_far_as_the_registry(here, capsys):
    """So that none of the checks above is one that always fails."""
    right = ["--reference-data", "images", "--labels", "labels", "--precision", "int8,fp16"]
    right += ["--reference-image", "images/0000.png", "--strict", "--name", "a-b.c"]
    assert main(["build", FAR, "-o", "bundle", *right]) == 10
    assert "nowhere.db" in capsys.readouterr().err


def test_engines_are_checked_too(here, capsys):
    """Capabilities that the module does not know, with those that it does."""
    pytest.importorskip("tensorrt_rtx", reason="the trt-rtx extra is not installed")
    engine = ["--engine", "trt-rtx", "--compute-capability"]
    assert main(["build", FAR, "-o", "bundle", *engine, "8.6,5.3"]) == 2
    assert "--compute-capability 5.3: trt-rtx has no such one; there are" in capsys.readouterr().err
    assert main(["build", FAR, "-o", "bundle", *engine, "8.6"]) == 10


def test_every_fault_is_told_at_once(here):
    """In one message, of the first one's kind."""
    options = BuildOptions(limits=Path("limits.toml"), name="a b", previous=Path("nowhere"))
    with pytest.raises(ConfigError, match=r"map_los.*; model name 'a b'.*; nowhere"):
        check_options(options, FAR)
    alone = dataclasses.replace(options, limits=None, name=None)
    with pytest.raises(BundleError, match="nowhere"):
        check_options(alone, FAR)


def test_a_registered_name_that_is_no_file_name(here):
    """The source says it already; --name gives another."""
    with pytest.raises(UsageError, match="model name 'a b'"):
        check_options(BuildOptions(), "models:/a b@production")
    check_options(BuildOptions(name="a-b"), "models:/a b@production")


def test_what_wants_pytorch(here, monkeypatch):
    """The extra is named; an ONNX file has no checkpoint to compare with."""
    monkeypatch.setattr(preflight, "torch_available", lambda: False)
    monkeypatch.setattr(preflight, "obstacle", lambda: "no PyTorch")
    with pytest.raises(UsageError, match=r"--exporter ultralytics: .*pip install"):
        check_options(BuildOptions(exporter="ultralytics"), FAR)
    with pytest.raises(UsageError, match="--prove require: no PyTorch"):
        check_options(BuildOptions(prove="require"), FAR)
    monkeypatch.setattr(preflight, "torch_available", lambda: True)
    with pytest.raises(UsageError, match=r"a\.onnx: is exported already"):
        check_options(BuildOptions(exporter="ultralytics"), "a.onnx")
    with pytest.raises(UsageError, match="came without its checkpoint"):
        check_options(BuildOptions(prove="require"), "a.onnx")


def test_an_engine_without_its_module(here):
    """As on a machine that has no TensorRT; with one it is the GPU that is missing, or nothing."""
    try:
        import tensorrt  # noqa: F401
    except ImportError:
        with pytest.raises(ModelError, match="tensorrt is not installed"):
            check_options(BuildOptions(engine=EngineOptions("tensorrt")), FAR)
    else:
        pytest.skip("TensorRT is installed")


def test_a_damaged_version_before(bundle, here):
    """Its hashes are checked: it would be run at the very end."""
    root = here / "before"
    shutil.copytree(bundle.root, root)
    check_options(BuildOptions(previous=root), FAR)
    model = root / "model" / "fp32.onnx"
    model.write_bytes(model.read_bytes()[:-1])
    with pytest.raises(BundleError, match=r"model/fp32\.onnx: has .* bytes instead of"):
        check_options(BuildOptions(previous=root), FAR)


def test_a_dataset_of_three_is_told(squares, here):
    """Profile and golden set of few images, and an int8 that cannot be calibrated."""
    options = BuildOptions(reference_data=Path("few"), prove="never")
    made = build(str(squares), here / "b", options)
    assert "the reference profile is of 3 images only: below 100" in "\n".join(made.warnings)
    assert "golden set is chosen from 3 images only (12 frames are" in "\n".join(made.warnings)
    made = build(str(squares), here / "c", dataclasses.replace(options, precisions=("int8",)))
    (left,) = made.bundle.manifest.document["left_out"]
    assert "at least 8 reference images, there are 3; give more" in left["why"]


def test_few_images_for_calibration_are_told(squares, here):
    """Enough to calibrate at all, not enough to trust it; the golden set is as it should be."""
    options = BuildOptions(reference_data=Path("images"), precisions=("int8",), prove="never")
    made = build(str(squares), here / "b", options)
    text = "\n".join(made.warnings)
    assert "int8 is calibrated on 24 images only (64 are wanted)" in text
    assert "of 24 images only: below 100" in text and "golden set is chosen" not in text


def test_enough_is_enough():
    """Each rule at its limit."""
    assert few_for_profile(100) is few_for_golden(12, 12) is None
    assert few_for_calibration("int8", 64, 64) is None
    assert "of 1 image only" in (few_for_profile(1) or "")
    assert few_for_profile(99) and few_for_golden(11, 12) and few_for_calibration("int8", 63, 64)
