"""The sample line: an inspection camera over a conveyor, made from photographs and a seed.

``photos`` textures -> ``shapes`` + ``defects`` -> ``parts`` -> ``scene`` (with ``machine``) ->
``camera`` (+ ``faults``) -> ``dataset`` and ``clips``.
"""

from .clips import record
from .dataset import pictures, reference, write_data_yaml, write_split

__all__ = ["pictures", "record", "reference", "write_data_yaml", "write_split"]
