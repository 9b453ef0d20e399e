"""Engines for real with TensorRT-RTX on this CPU, and 8.x by what it is told."""

from __future__ import annotations

import onnx
import pytest
from onnx import helper

from edge_agent.engines.compile import compile_engine
from edge_agent.errors import ModelError
from tests.edge_agent.engines.conftest import Old, request_for, write_model


def silent(phase: str) -> None:
    """Nothing."""


def test_an_engine_for_a_gpu_that_is_not_here(rtx, tmp_path):
    """A plan of some size; phases are told."""
    phases: list[str] = []
    data = write_model(tmp_path / "m.onnx").read_bytes()
    engine = compile_engine(rtx, data, request_for(), b"", phases.append)
    assert len(engine.plan) > 1000
    assert phases[:2] == ["parse", "build"] and len(phases) > 2


def test_a_free_batch_has_a_profile(rtx, tmp_path):
    """Without one the builder would refuse the network."""
    data = write_model(tmp_path / "m.onnx", batch="batch").read_bytes()
    assert compile_engine(rtx, data, request_for(max_batch=4), b"", silent).plan


def test_a_node_that_the_parser_refuses_is_named(rtx, tmp_path):
    """With its reason, in one line."""
    data = write_model(tmp_path / "m.onnx", kind="NoSuchOperator").read_bytes()
    with pytest.raises(ModelError, match="node /only/node: ") as caught:
        compile_engine(rtx, data, request_for(), b"", silent)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_graph(rtx):
    """A sentence, no crash."""
    with pytest.raises(ModelError, match="the parser refuses the graph"):
        compile_engine(rtx, b"no graph", request_for(), b"", silent)


def test_a_capability_that_is_not_known(rtx, tmp_path):
    """Which ones are."""
    data = write_model(tmp_path / "m.onnx").read_bytes()
    with pytest.raises(
        ModelError, match=r"no compute capability 5\.3; there are 7\.5, .*8\.6, .*12\.0"
    ):
        compile_engine(rtx, data, request_for(capability="5.3"), b"", silent)


@pytest.mark.parametrize(
    ("precision", "flags"), [("fp32", []), ("fp16", ["fp16"]), ("int8", ["int8", "fp16"])]
)
def test_builder_flags_where_types_are_not_strong(precision, flags):
    """Explicit batch and the flags that the graph needs."""
    old = Old()
    request = request_for(precision=precision, capability="")
    engine = compile_engine(old, b"good", request, b"", silent)
    assert (engine.plan, engine.timing_cache) == (b"plan", b"times")
    assert old.told[0] == ("network", 1)
    assert [flag for kind, flag, *_ in old.told if kind == "flag"] == flags
    assert ("workspace", 64 << 20) in old.told


def test_profile_of_a_free_batch():
    """Least, usual and largest, from the manifest's size."""
    old = Old(shape=(-1, 3, 32, 32))
    compile_engine(old, b"good", request_for(capability="", max_batch=8), b"", silent)
    ranges = ("images", (1, 3, 32, 32), (1, 3, 32, 32), (8, 3, 32, 32))
    assert ("profile", ranges) in old.told


def test_engines_are_for_the_raw_output_alone():
    """Whatever else the graph gives is taken out before the builder sees it."""
    old = Old(outputs=("output0", "embedding", "more"))
    compile_engine(old, b"good", request_for(capability=""), b"", silent)
    assert [name for kind, name, *_ in old.told if kind == "left out"] == ["more", "embedding"]


def test_an_embedding_is_left_out_for_real(rtx, tmp_path):
    """The real parser's network has two outputs; the engine is that of the graph with one."""
    path = write_model(tmp_path / "m.onnx")
    plain = compile_engine(rtx, path.read_bytes(), request_for(), b"", silent)
    model = onnx.load(path)
    model.graph.node.append(helper.make_node("GlobalMaxPool", ["output0"], ["embedding"]))
    model.graph.output.append(
        helper.make_tensor_value_info("embedding", onnx.TensorProto.FLOAT, None)
    )
    both = compile_engine(rtx, model.SerializeToString(), request_for(), b"", silent)
    assert b"embedding" not in both.plan
    assert abs(len(both.plan) - len(plain.plan)) < 200


def test_a_cache_that_cannot_be_read():
    """A fresh one takes its place."""
    old = Old()
    engine = compile_engine(old, b"good", request_for(capability=""), b"damaged", silent)
    assert engine.timing_cache == b"times"
    assert ("timing", False) in old.told


def test_refusals_of_8_5_have_their_reasons():
    """Its parser knows no node names; its builder's log has the reason."""
    with pytest.raises(ModelError, match="refuses the graph: unsupported operator"):
        compile_engine(Old(), b"bad", request_for(capability=""), b"", silent)
    with pytest.raises(ModelError, match="builds no engine: no tactic for node /a"):
        compile_engine(Old(plan=None), b"good", request_for(capability=""), b"", silent)
    with pytest.raises(ModelError, match=r"tensorrt 8\.5\.2\.2 compiles for the GPU of this"):
        compile_engine(Old(), b"good", request_for(), b"", silent)
