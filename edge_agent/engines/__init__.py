"""Engines: a variant compiled for one GPU and one TensorRT; a cache of the variant, not its source.

``modules`` finds TensorRT or TensorRT-RTX, ``names`` is what we use of them, ``key`` says when an
engine is the right one, ``compile`` makes it, ``child`` does so in a process with a memory limit,
``shelf`` keeps it beside the bundle, ``log`` keeps what TensorRT says, ``plan`` reads files that
others wrote.
"""

__all__: list[str] = []
