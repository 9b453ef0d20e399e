"""The network in fewer bits: one ONNX per precision, made from the float32 graph.

``places`` finds head and decoding by operator and place, ``half`` and ``int8`` rewrite the graph,
``calibration`` chooses and feeds the pictures.
"""

from builder.precision.half import to_float16
from builder.precision.int8 import to_int8

__all__ = ["to_float16", "to_int8"]
