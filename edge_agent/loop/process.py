"""What the agent asks of its own process: few threads, and memory given back."""

from __future__ import annotations

import ctypes

import cv2


def settle() -> None:
    """Set the process up for a pipeline; called once, before its threads begin.

    The stages of the pipeline run side by side already: OpenCV's own threads would only take the
    cores from the network. A picture costs twice the processor time with them.
    """
    cv2.setNumThreads(1)


def give_memory_back() -> None:
    """Return freed memory to the system (glibc only); takes milliseconds, so after large steps.

    ONNX Runtime leaves holes larger than the model's file when it has packed the weights.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
