"""Every variant of a bundle, compiled for real for GPUs that are not here."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from builder.build import build
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
    made = compile_variants(three, options, Silent())
    wanted = [(v, c) for v in ("fp32", "fp16", "int8") for c in ("8.6", "8.9")]
    assert [(one.variant, one.capability) for one in made] == wanted
    assert all(one.fresh and one.size > 1000 for one in made)
    three.verify()
    assert Bundle.open(three.root).manifest.digest == digest
    again = compile_variants(three, options, Silent())
    assert not any(one.fresh for one in again)
    assert [one.path for one in again] == [one.path for one in made]


def test_the_card_says_what_it_is_for(three):
    """A person can read which engine is which."""
    options = EngineOptions("trt-rtx", ("8.0",), variants=("fp32",))
    (one,) = compile_variants(Bundle(three.root, three.manifest), options, Silent())
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


def test_a_capability_that_no_module_has(three):
    """The variant and the reason."""
    with pytest.raises(ModelError, match=r"fp32\.onnx: trt-rtx: no compute capability 5\.3"):
        compile_variants(three, EngineOptions("trt-rtx", ("5.3",)), Remembering(Silent()))


def test_a_build_compiles_too(squares, tmp_path):
    """Engines are there with the bundle, which is whole."""
    options = BuildOptions(prove="never", engine=EngineOptions("trt-rtx", ("8.9",)))
    bundle = build(str(squares), tmp_path / "bundle", options).bundle
    bundle.verify()
    assert len(list((bundle.root / "engines").glob("*/model.engine"))) == 1


def test_a_build_that_cannot_compile_leaves_nothing(squares, tmp_path):
    """Not even the bundle: it was asked for with its engine."""
    options = BuildOptions(prove="never", engine=EngineOptions("trt-rtx", ("5.3",)))
    with pytest.raises(ModelError, match="no compute capability"):
        build(str(squares), tmp_path / "bundle", options)
    assert list(tmp_path.iterdir()) == []


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
    with pytest.raises(UsageError, match="compute capability 'sm86'"):
        parse_capabilities("8.6,sm86")
