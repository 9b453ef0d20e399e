"""The graph of the squares checkpoint, once, and tensors for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from builder.checkpoint import read_checkpoint
from builder.graph import write_onnx


@pytest.fixture(scope="package")
def graph(squares: Path) -> onnx.ModelProto:
    """Two convolutions and a head, 64 x 64 pixels."""
    return write_onnx(read_checkpoint(squares), height=64, width=64)


@pytest.fixture(scope="package")
def tensors() -> list[np.ndarray]:
    """Twelve pictures as tensors, seeded."""
    random = np.random.default_rng(3)
    return [random.random((1, 3, 64, 64), dtype=np.float32) for _ in range(12)]


@pytest.fixture(scope="package")
def rtx() -> Any:
    """TensorRT-RTX, which compiles for GPUs that are not here."""
    return pytest.importorskip("tensorrt_rtx", reason="the trt-rtx extra is not installed")
