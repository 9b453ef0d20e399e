"""Calibration: our ranges are those of ONNX Runtime's own calibrator."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnxruntime.quantization.calibrate import create_calibrator

from builder.precision.ranges import measure_ranges


class Reader:
    """What ONNX Runtime's calibrator draws from."""

    def __init__(self, name, tensors):
        self._feeds = iter([{name: tensor} for tensor in tensors])

    def get_next(self):
        return next(self._feeds, None)


@pytest.mark.parametrize("operators", [("Conv",), ("Conv", "Mul", "Sigmoid", "Concat")])
def test_the_same_as_onnx_runtimes_calibrator(graph, tensors, tmp_path, operators):
    """The same tensors, and for each the mean of the pictures' extremes."""
    onnx.save(onnx.shape_inference.infer_shapes(graph), tmp_path / "graph.onnx")
    calibrator = create_calibrator(
        tmp_path / "graph.onnx",
        list(operators),
        augmented_model_path=str(tmp_path / "augmented.onnx"),
        extra_options={"moving_average": True},
    )
    calibrator.collect_data(Reader(graph.graph.input[0].name, tensors))
    theirs = {name: found.range_value for name, found in calibrator.compute_data().items()}
    ours = measure_ranges(onnx.shape_inference.infer_shapes(graph), operators, tensors)
    assert set(ours) == set(theirs) and len(ours) > 3
    for name, (least, most) in ours.items():
        assert least < most
        np.testing.assert_allclose(
            (least, most), [float(np.squeeze(v)) for v in theirs[name]], rtol=1e-5, atol=1e-6
        )


def test_no_pictures_no_ranges(graph, tensors):
    """Nothing is made up; and more pictures are another mean."""
    inferred = onnx.shape_inference.infer_shapes(graph)
    assert measure_ranges(inferred, ("Conv",), []) == {}
    few, all_ = (measure_ranges(inferred, ("Conv",), some) for some in (tensors[:2], tensors))
    assert few.keys() == all_.keys() and few != all_
