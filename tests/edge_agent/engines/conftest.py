"""Small graphs, the real TensorRT-RTX where it is installed, and an 8.5 that only remembers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_agent.engines.compile import Request

SHAPE = (1, 3, 32, 32)


def write_model(path: Path, *, batch: int | str = 1, kind: str = "Conv") -> Path:
    """One operator on a picture of 32 pixels."""
    inputs = ["images", "w"] if kind == "Conv" else ["images"]
    node = helper.make_node(kind, inputs, ["output0"], name="/only/node")
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, 32, 32])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.ones((2, 3, 1, 1), np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def request_for(**given: Any) -> Request:
    """A request for the small graph, ahead of time for 8.6."""
    values = {"precision": "fp32", "capability": "8.6", "shape": SHAPE, "max_batch": 1}
    return Request(**{**values, "workspace_mb": 64, **given})


@pytest.fixture(scope="session")
def rtx() -> Any:
    """The real module."""
    return pytest.importorskip("tensorrt_rtx", reason="the trt-rtx extra is not installed")


class Old:
    """TensorRT 8.5 as far as we use it: no strong types, no progress; remembers what it was told.

    Attributes:
        told: every call that sets something.
        inputs: shapes of the network's inputs.
        plan: what is built; None for a refusal.
        outputs: names of the network's.
    """

    def __init__(
        self,
        shape: tuple[int, ...] = SHAPE,
        plan: bytes | None = b"plan",
        outputs: tuple[str, ...] = ("output0",),
    ) -> None:
        self.outputs = outputs
        self.told: list[tuple[Any, ...]] = []
        self.plan = plan
        told, old = self.told, self

        class Logger:
            """The base class of loggers."""

            ERROR, INTERNAL_ERROR = "error", "internal"

        class Config:
            """IBuilderConfig."""

            def set_flag(self, flag: str) -> None:
                told.append(("flag", flag))

            def set_memory_pool_limit(self, pool: str, size: int) -> None:
                told.append((pool, size))

            def create_timing_cache(self, data: bytes) -> Any:
                return None if data == b"damaged" else SimpleNamespace(serialize=lambda: b"times")

            def set_timing_cache(self, cache: Any, ignore: bool) -> bool:
                told.append(("timing", ignore))
                return True

            def get_timing_cache(self) -> Any:
                return self.create_timing_cache(b"")

            def add_optimization_profile(self, profile: Any) -> None:
                told.append(("profile", *profile.ranges))

        class Profile:
            """IOptimizationProfile."""

            def __init__(self) -> None:
                self.ranges: list[Any] = []

            def set_shape(self, *given: Any) -> None:
                self.ranges.append(given)

        class Network:
            """INetworkDefinition."""

            num_inputs = 1

            def __init__(self) -> None:
                self.outputs = list(old.outputs)

            @property
            def num_outputs(self) -> int:
                return len(self.outputs)

            def get_input(self, index: int) -> Any:
                return SimpleNamespace(name="images", shape=shape)

            def get_output(self, index: int) -> str:
                return self.outputs[index]

            def unmark_output(self, tensor: str) -> None:
                told.append(("left out", tensor))
                self.outputs.remove(tensor)

        class Builder:
            """The builder."""

            def __init__(self, log: Any) -> None:
                self.log = log

            create_builder_config = staticmethod(Config)
            create_optimization_profile = staticmethod(Profile)

            def create_network(self, flags: int) -> Network:
                told.append(("network", flags))
                return Network()

            def build_serialized_network(self, network: Any, config: Any) -> bytes | None:
                if old.plan is None:
                    self.log.log(Logger.ERROR, "no tactic\nfor node /a")
                return old.plan

        class Parser:
            """OnnxParser; 8.5's errors have no node_name."""

            def __init__(self, network: Any, log: Any) -> None:
                self.num_errors = 0

            def parse(self, data: bytes) -> bool:
                self.num_errors = int(data == b"bad")
                return data != b"bad"

            def get_error(self, index: int) -> Any:
                return SimpleNamespace(desc=lambda: "unsupported\noperator")

        self.__version__ = "8.5.2.2"
        self.ILogger, self.IBuilderConfig, self.IOptimizationProfile = Logger, Config, Profile
        self.Builder, self.OnnxParser, self.INetworkDefinition = Builder, Parser, Network
        self.ITimingCache = SimpleNamespace(serialize=True)
        self.ParserError = SimpleNamespace(desc=True)
        self.MemoryPoolType = SimpleNamespace(WORKSPACE="workspace")
        self.BuilderFlag = SimpleNamespace(FP16="fp16", INT8="int8")
        self.NetworkDefinitionCreationFlag = SimpleNamespace(EXPLICIT_BATCH=0)
