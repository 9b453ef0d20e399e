"""What ONNX Runtime's GPU providers are told, and why they did not start."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from edge_agent.backends import BackendOptions, Host, load_backend, probe
from edge_agent.errors import ModelError
from tests.edge_agent.backends.conftest import CONTRACT, model_file
from tests.edge_agent.backends.pretend import GPU, PretendOnnxruntime

BOTH = ("TensorrtExecutionProvider", "CUDAExecutionProvider")


def asked(file, contract=CONTRACT, provider="tensorrt", gpu=GPU, starting=BOTH):
    """What the session was given as providers: names and options."""
    ort = PretendOnnxruntime(*starting)
    host = Host(onnxruntime=lambda: ort, gpu=lambda: gpu)
    load_backend(file, contract, BackendOptions((provider,)), host)
    return [(one, {}) if isinstance(one, str) else one for one in ort.asked]


def test_each_provider_is_followed_by_what_takes_its_rest(tmp_path):
    """TensorRT before CUDA before the CPU; the CPU alone."""
    order = [*BOTH, "CPUExecutionProvider"]
    for first, provider in enumerate(("tensorrt", "cuda", "cpu")):
        found = asked(model_file(tmp_path), provider=provider)
        assert [name for name, _ in found] == order[first:]


@pytest.mark.parametrize(
    ("precision", "fp16", "int8"),
    [("fp32", "0", "0"), ("fp16", "1", "0"), ("int8", "1", "1"), ("int8-cpu", "0", "0")],
)
def test_types_are_those_of_the_variant(tmp_path, precision, fp16, int8):
    """And every option is a text, as the provider wants it."""
    file = replace(model_file(tmp_path), precision=precision)
    options = asked(file)[0][1]
    assert (options["trt_fp16_enable"], options["trt_int8_enable"]) == (fp16, int8)
    assert all(isinstance(value, str) for value in options.values())


def test_shapes_of_a_free_graph_are_stated(tmp_path):
    """One to four pictures in one engine; a fixed graph says its shape itself."""
    options = asked(model_file(tmp_path))[0][1]
    assert options["trt_profile_min_shapes"] == "images:1x3x64x64"
    assert options["trt_profile_max_shapes"] == "images:4x3x64x64"
    fixed = asked(model_file(tmp_path, batch=1), replace(CONTRACT, max_batch=1))[0][1]
    assert "trt_profile_min_shapes" not in fixed


def test_engines_lie_in_a_folder_of_their_own_key(tmp_path):
    """Another GPU, driver, file or precision is another folder, with a card that says which."""
    file = model_file(tmp_path)
    others = [
        asked(file),
        asked(file, gpu=replace(GPU, driver="R36.5")),
        asked(file, gpu=replace(GPU, name="Other")),
        asked(replace(file, sha256="1" * 64)),
        asked(replace(file, precision="fp16")),
    ]
    folders = [Path(found[0][1]["trt_engine_cache_path"]) for found in others]
    assert len(set(folders)) == 5
    assert all(folder.parent == tmp_path / "engines" for folder in folders)
    card = json.loads((folders[0] / "engine.json").read_text())
    assert card["key"]["module"] == "onnxruntime-tensorrt"
    assert card["key"]["gpu"] == GPU.name


def test_without_a_place_nothing_is_kept(tmp_path, caplog):
    """Said in the log where there should be one."""
    assert "trt_engine_cache_enable" not in asked(replace(model_file(tmp_path), bundle=None))[0][1]
    (tmp_path / "engines").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        assert "trt_engine_cache_enable" not in asked(model_file(tmp_path))[0][1]
    assert "built again at each start" in caplog.text


def test_a_provider_that_stays_away_is_named(tmp_path):
    """ONNX Runtime goes on with the next one in silence; we do not."""
    with pytest.raises(ModelError, match=r"CUDAExecutionProvider did not start: CPUExecution"):
        asked(model_file(tmp_path), provider="cuda", starting=())


def test_libraries_that_pip_brought_are_loaded_first(tmp_path, capsys):
    """By ONNX Runtime's own function, where it has one and a GPU is wanted; in silence."""
    ort = PretendOnnxruntime(*BOTH)
    calls = []
    ort.preload_dlls = lambda: calls.append(print("libcublas.so.13 is missing"))
    host = Host(onnxruntime=lambda: ort, gpu=lambda: GPU)
    for provider in ("cpu", "cuda"):
        load_backend(model_file(tmp_path), CONTRACT, BackendOptions((provider,)), host)
    assert len(calls) == 1 and capsys.readouterr().out == ""


PRINTED = (
    "\x1b[0;93m2026-11-24 [W:onnxruntime:Default, x.cc:1 F] nothing much\x1b[m\n"
    "\x1b[1;31m2026-11-24 22:08 [E:onnxruntime:Default, provider_bridge_ort.cc:2458 operator()] /s"
    "rc/provider.cc:2043 Get() [ONNXRuntimeError] : 1 : FAIL : Failed to load library /lib/x.so "
    "with error: libcublasLt.so.13: cannot open shared object file: No such file or directory\n"
)


@pytest.mark.parametrize(
    ("printed", "found"),
    [
        (PRINTED, "libcublasLt.so.13: cannot open shared object file: No such file or directory"),
        ("[E:onnxruntime:, a.cc:1 F] CUDA failure 35: too old a driver", "CUDA failure 35: too"),
        ("Traceback (most\n  File\nRuntimeError: Install it\n\n", "RuntimeError: Install it"),
        ("", ""),
        ("all is well", ""),
        ("[E:onnxruntime:, a.cc:1 F] " + "long " * 200, "long long"),
    ],
)
def test_the_reason_is_found_in_what_was_printed(printed, found):
    """The first error without its place in ONNX Runtime's sources, never longer than a line."""
    reason = probe.reason(printed)
    assert reason.startswith(found) and bool(reason) == bool(found)
    assert len(reason) <= 300 and "\x1b" not in reason


def test_the_child_is_asked_for_real(tmp_path):
    """A file that is no graph is what it complains about here."""
    path = tmp_path / "bad.onnx"
    path.write_bytes(b"rubbish")
    assert "bad.onnx" in probe.ask(path, "CPUExecutionProvider")
    assert probe.ask(model_file(tmp_path).path, "CPUExecutionProvider") == ""
