"""Every variant of a bundle, compiled for real for GPUs that are not here."""

from __future__ import annotations

import json
import shutil

import pytest
from click.testing import CliRunner

from builder.build import build
from builder.cli import main
from builder.engines import EngineOptions, compile_variants, engine_options, parse_capabilities
from builder.options import BuildOptions
from builder.progress import Remembering, Silent
from edge_agent.bundle import Bundle
from edge_agent.errors import ModelError, UsageError

pytest.importorskip("tensorrt_rtx", reason="the trt-rtx extra is not installed")


@pytest.fixture(scope="module")
def three(squares, frames, tmp_path_factory) -> Bundle:
    """fp32, fp16 and int8 of the squares."""
    options = BuildOptions(reference_data=frames, precisions=("fp16", "int8"), prove="never")
    return build(str(squares), tmp_path_factory.mktemp("three") / "bundle", options).bundle


def test_every_variant_for_every_capability(three):
    """Six engines; the bundle stays what it was; a second time nothing is built."""
    digest = three.manifest.digest
    options = EngineOptions("trt-rtx", ("8.6", "8.9"), workspace_mb=64)
    made = compile_variants(three, options, Silent()).made
    wanted = [(v, c) for v in ("fp32", "fp16", "int8") for c in ("8.6", "8.9")]
    assert [(one.variant, one.capability) for one in made] == wanted
    assert all(one.fresh and one.size > 1000 for one in made)
    three.verify()
    assert Bundle.open(three.root).manifest.digest == digest
    again = compile_variants(three, options, Silent()).made
    assert not any(one.fresh for one in again)
    assert [one.path for one in again] == [one.path for one in made]


def test_the_card_says_what_it_is_for(three):
    """A person can read which engine is which."""
    options = EngineOptions("trt-rtx", ("8.0",), variants=("fp32",))
    (one,) = compile_variants(Bundle(three.root, three.manifest), options, Silent()).made
    card = json.loads(one.path.with_name("engine.json").read_text())
    assert card["variant"] == "fp32"
    assert card["key"]["capability"] == "8.0"
    assert card["key"]["onnx_sha256"] == three.manifest.entry("model/fp32.onnx").sha256


def test_the_command(three):
    """``edge-builder compile BUNDLE``; what cannot be is one line."""
    from builder.cli_engine import compile_command

    arguments = [str(three.root), "--engine", "trt-rtx", "--compute-capability", "8.6", "--json"]
    done = CliRunner().invoke(compile_command, arguments)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)["engines"]
    assert [one["variant"] for one in found] == ["fp32", "fp16", "int8"]
    assert all(one["path"].startswith("engines/") for one in found)


def test_one_variant_only(three):
    """Where another cannot be compiled, as attention in float32 for Turing; else a list."""
    from builder.cli_engine import compile_command

    arguments = [str(three.root), "--engine", "trt-rtx", "--compute-capability", "7.5"]
    done = CliRunner().invoke(compile_command, [*arguments, "--variant", "fp16", "--json"])
    assert done.exit_code == 0, done.output
    assert [one["variant"] for one in json.loads(done.stdout)["engines"]] == ["fp16"]
    options = EngineOptions("trt-rtx", ("7.5",), variants=("int4",))
    with pytest.raises(UsageError, match="no variant 'int4' for a GPU; there are fp32, fp16, int8"):
        compile_variants(three, options, Silent())


@pytest.fixture
def damaged(three, tmp_path) -> Bundle:
    """The same with an fp16 that no parser takes."""
    shutil.copytree(three.root, tmp_path / "damaged", ignore=shutil.ignore_patterns("engines"))
    path = tmp_path / "damaged" / "model" / "fp16.onnx"
    path.write_bytes(path.read_bytes()[:-500])
    return Bundle.open(tmp_path / "damaged")


def test_one_that_fails_does_not_stop_the_others(damaged):
    """Both capabilities of fp32 and int8 are there; the table has the two that failed, and why."""
    options = EngineOptions("trt-rtx", ("8.6", "8.9"))
    tell = Remembering(Silent())
    engines = compile_variants(damaged, options, tell)
    wanted = [(v, c) for v in ("fp32", "int8") for c in ("8.6", "8.9")]
    assert [(one.variant, one.capability) for one in engines.made] == wanted
    assert all(one.path.is_file() for one in engines.made)
    assert [(one.variant, one.capability) for one in engines.failed] == [
        ("fp16", "8.6"), ("fp16", "8.9")
    ]  # fmt: skip
    whys = [one.why for one in engines.failed]
    assert all(why.startswith("model/fp16.onnx: trt-rtx: the parser refuses") for why in whys)
    assert [text.partition(" is left out")[0] for text in tell.warnings] == [
        "the engine of fp16 for 8.6", "the engine of fp16 for 8.9"
    ]  # fmt: skip
    table = engines.render().splitlines()
    assert sum("built" in line for line in table) == 4
    assert sum("failed: model/fp16.onnx" in line for line in table) == 2
    assert len(engines.document()["engines"]) == 4
    assert engines.document()["engines_left_out"][0]["compute_capability"] == "8.6"


def test_the_command_ends_with_5_when_one_failed(three, capsys):
    """Every engine was tried, and the object says which is not there."""
    command = ["compile", str(three.root), "--engine", "trt-rtx", "--compute-capability", "12.1"]
    assert main([*command, "--memory-mb", "64", "--json"]) == 5
    output = capsys.readouterr()
    left = json.loads(output.out)["engines_left_out"]
    assert [one["variant"] for one in left] == ["fp32", "fp16", "int8"]
    assert "fp16 for 12.1: " in (last := output.err.splitlines()[-1]) and "int8 for 12.1: " in last


def test_a_capability_that_no_module_has(three):
    """Known before anything is compiled; the message has those that are."""
    options = EngineOptions("trt-rtx", ("8.6", "5.3"))
    with pytest.raises(UsageError, match=r"--compute-capability 5\.3: .* 7\.5, 8\.0, 8\.6"):
        compile_variants(three, options, Remembering(Silent()))


def test_a_build_compiles_too(squares, tmp_path):
    """Engines are there with the bundle, which is whole."""
    options = BuildOptions(prove="never", engine=EngineOptions("trt-rtx", ("8.9",)))
    bundle = build(str(squares), tmp_path / "bundle", options).bundle
    bundle.verify()
    assert len(list((bundle.root / "engines").glob("*/model.engine"))) == 1


def test_a_build_whose_engine_fails(squares, tmp_path, capsys):
    """Like a variant that does not pass: told and left out; with --strict nothing is left."""
    engine = EngineOptions("trt-rtx", ("8.9",), memory_mb=64)
    made = build(str(squares), tmp_path / "b", BuildOptions(prove="never", engine=engine))
    made.bundle.verify()
    assert [one["variant"] for one in made.engines["engines_left_out"]] == ["fp32"]
    assert made.engines["engines"] == []
    assert any("the engine of fp32 for 8.9 is left out" in text for text in made.warnings)
    strict = BuildOptions(prove="never", engine=engine, strict=True)
    with pytest.raises(ModelError, match=r"--strict: fp32 for 8\.9: model/fp32\.onnx: trt-rtx: "):
        build(str(squares), tmp_path / "c", strict)
    assert [one.name for one in tmp_path.iterdir()] == ["b"]


def test_options_that_do_not_go_together():
    """Each says what does."""
    assert engine_options(None, None) is None
    assert engine_options("trt-rtx", "8.6") == EngineOptions("trt-rtx", ("8.6",))
    with pytest.raises(UsageError, match="goes with --engine trt-rtx"):
        engine_options(None, "8.6")
    with pytest.raises(UsageError, match="GPU of this machine"):
        engine_options("tensorrt", "8.6")


def test_capabilities():
    """As NVIDIA writes them."""
    assert parse_capabilities("8.6, 12.0") == ("8.6", "12.0")
    with pytest.raises(UsageError, match="--compute-capability 'sm86'"):
        parse_capabilities("8.6,sm86")
