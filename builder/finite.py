"""Whether all weights of a graph are numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

_SHOWN = 3


def nonfinite_weights(model: Any) -> str | None:
    """Name the weights of an ``onnx.ModelProto`` that hold NaN or Inf, None when there are none."""
    from onnx import TensorProto, numpy_helper

    bad = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        if count := int(np.count_nonzero(~np.isfinite(values))):
            bad.append(f"{tensor.name} ({count} of {values.size})")
    if not bad:
        return None
    more = f" and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    return ", ".join(bad[:_SHOWN]) + more
