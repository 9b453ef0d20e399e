"""The build in a process of its own: phases, limits, reasons."""

from __future__ import annotations

import os
import re
import sys
import time
from dataclasses import replace

import psutil
import pytest

from edge_agent.engines import modules
from edge_agent.engines.child import build, key_of
from edge_agent.errors import ModelError
from tests.edge_agent.engines.conftest import request_for, write_model

HASH = "0" * 64


def test_a_plan_from_a_child(rtx, tmp_path):
    """With its phases."""
    phases: list[str] = []
    model = write_model(tmp_path / "m.onnx")
    engine = build("trt-rtx", model, request_for(), memory_mb=4000, tell=phases.append)
    assert len(engine.plan) > 1000
    assert phases[:2] == ["parse", "build"]


def test_a_refusal_names_file_and_node(rtx, tmp_path):
    """As the parent's one line."""
    model = write_model(tmp_path / "m.onnx", kind="NoSuchOperator")
    with pytest.raises(ModelError, match=r"m\.onnx: trt-rtx: the parser refuses .*/only/node"):
        build("trt-rtx", model, request_for())


def test_memory_and_time_have_limits(rtx, tmp_path):
    """The child ends, the parent says why."""
    model = write_model(tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=r"m\.onnx: trt-rtx: needs more memory than 1 MB: it was"):
        build("trt-rtx", model, request_for(), memory_mb=1)
    with pytest.raises(ModelError, match="not done after 0 s"):
        build("trt-rtx", model, request_for(), timeout_s=0.05)


GREEDY = """
import pathlib, time
pathlib.Path(__file__).with_name("score").write_text(
    pathlib.Path("/proc/self/oom_score_adj").read_text())
# As CUDA does: addresses, no memory (MAP_PRIVATE, MAP_ANONYMOUS, MAP_NORESERVE).
reserved = __import__("mmap").mmap(-1, 1 << 34, flags=0x4022)
eaten = []
for _ in range(SOME):
    eaten.append(bytearray(b"x") * (16 << 20))
    time.sleep(0.02)
raise ImportError("satisfied")
"""


@pytest.fixture
def greedy(tmp_path, monkeypatch):
    """``greedy(n)``: a TensorRT that reserves 16 GiB of addresses and takes n times 16 MiB."""

    def write(some):
        (tmp_path / "tensorrt.py").write_text(GREEDY.replace("SOME", str(some)))
        paths = [str(tmp_path), *sys.path]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in paths if path))
        return write_model(tmp_path / "m.onnx")

    return write


def test_a_child_that_eats_memory_is_ended(greedy):
    """Near its limit, with both numbers and what to do; nothing of it is left."""
    began = time.monotonic()
    with pytest.raises(
        ModelError, match=r"more memory than 300 MB: it was ended at \d+; allow"
    ) as e:
        build("tensorrt", greedy(500), request_for(), memory_mb=300)
    assert 300 < float(re.findall(r"ended at (\d+)", str(e.value))[0]) < 450
    assert time.monotonic() - began < 10
    left = psutil.Process().children(recursive=True)
    assert not [one for one in left if "edge_agent.engines.child" in one.cmdline()]


def test_reserved_addresses_are_no_memory(greedy, tmp_path):
    """Below its limit the child goes on to its own end; the kernel would end it before others."""
    with pytest.raises(ModelError, match="satisfied"):
        build("tensorrt", greedy(5), request_for(), memory_mb=300)
    assert (tmp_path / "score").read_text() == "1000\n"


def test_an_interrupted_build_leaves_no_child(rtx, tmp_path):
    """Ctrl-C ends the compiling process too."""
    model = write_model(tmp_path / "m.onnx")

    def interrupt(phase: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build("trt-rtx", model, request_for(), tell=interrupt)
    left = psutil.Process().children(recursive=True)
    assert not [one for one in left if "edge_agent.engines.child" in one.cmdline()]


def test_a_module_that_is_not_installed(monkeypatch):
    """How to get it."""
    monkeypatch.setitem(__import__("sys").modules, "tensorrt", None)
    with pytest.raises(ModelError, match=r"tensorrt is not installed .*JetPack"):
        modules.load("tensorrt")


def test_a_module_that_is_too_old(monkeypatch):
    """Named by its version, with what it lacks."""
    from types import SimpleNamespace

    monkeypatch.setitem(__import__("sys").modules, "tensorrt", SimpleNamespace(__version__="7.2.3"))
    with pytest.raises(ModelError, match=r"tensorrt 7\.2\.3 lacks Builder"):
        modules.load("tensorrt")


def test_key_of_an_engine_made_ahead_of_time(rtx):
    """Any GPU and driver of the capability; the full version of the module."""
    key = key_of("trt-rtx", HASH, request_for())
    assert (key.capability, key.gpu, key.driver) == ("8.6", "any", "any")
    assert key.version == rtx.__version__


def test_key_for_this_machine_wants_a_gpu(rtx):
    """Without one the sentence says what to do."""
    if modules.this_gpu() is not None:
        pytest.skip("this machine has a GPU")
    with pytest.raises(ModelError, match="no NVIDIA GPU is found on this machine; name a compute"):
        key_of("trt-rtx", HASH, request_for(capability=""))


def test_key_changes_with_everything_it_depends_on(rtx):
    """Another file, version, GPU, driver, precision, shape or flag is another engine."""
    key = key_of("trt-rtx", HASH, request_for())
    others = [
        replace(key, onnx_sha256="1" * 64),
        replace(key, module="tensorrt"),
        replace(key, version="1.7.1.117"),
        replace(key, capability="8.9"),
        replace(key, gpu="Orin"),
        replace(key, driver="R36.4"),
        replace(key, precision="fp16"),
        replace(key, shapes=((1, 3, 64, 64),) * 3),
        replace(key, flags=("workspace=128",)),
    ]
    digests = {one.digest for one in (key, *others)}
    assert len(digests) == 10
    assert replace(key).digest == key.digest
