"""One engine's way through the GPU: pinned input, device, pinned output, in one stream.

Small networks spend as long on launching their hundred kernels as on computing. So when the same
number of pictures comes twice in a row, copies and kernels are recorded into a CUDA graph, and from
then on one call launches them all. A graph is bound to the shape that its context had, so another
number of pictures throws it away.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from typing import Any

import numpy as np

from edge_agent.backends.base import Tensor
from edge_agent.backends.cuda import Driver
from edge_agent.errors import ModelError

Shape = tuple[int, ...]
log = logging.getLogger(__name__)


class Lane:
    """Runs one execution context.

    Args:
        driver: of the device, entered in this thread.
        context: TensorRT's execution context.
        names: of its input and its output.
        shapes: of the largest input and output; their first side is the number of pictures.
        errors: TensorRT's log, asked for a reason.
        recording: whether to record graphs.
    """

    def __init__(
        self,
        driver: Driver,
        context: Any,
        names: tuple[str, str],
        shapes: tuple[Shape, Shape],
        errors: Any,
        recording: bool,
    ) -> None:
        self._driver = driver
        self._context = context
        self._name = names[0]
        self._errors = errors
        self._recording = recording
        self._graph = 0
        self._pictures = 0
        self._pinned: list[Tensor] = []
        self._device: list[int] = []
        self._undo = ExitStack()  # gives back what was taken, also when one of the calls fails
        try:
            for name, shape in zip(names, shapes, strict=True):
                self._take(name, shape)
            self._stream = driver.stream()
            self._undo.callback(driver.destroy_stream, self._stream)
        except BaseException:
            self.close()
            raise

    def _take(self, name: str, shape: Shape) -> None:
        """Memory for one tensor on both sides; its address on the device never changes."""
        array = self._driver.pinned(shape)
        self._undo.callback(self._driver.unpin, array)
        address = self._driver.allocate(array.nbytes)
        self._undo.callback(self._driver.free, address)
        self._pinned.append(array)
        self._device.append(address)
        if not self._context.set_tensor_address(name, address):
            raise ModelError(f"TensorRT refuses the memory of {name}: {self._errors.reason()}")

    def run(self, tensor: Tensor) -> Tensor:
        """The output for (1..most, 3, h, w) float32; raises `ModelError`."""
        self._driver.enter()
        pictures = len(tensor)
        np.copyto(self._pinned[0][:pictures], tensor)
        if pictures != self._pictures:
            self._reshape(tensor.shape)
            self._queue()
        elif self._graph or self._record():
            self._driver.launch(self._graph, self._stream)
        else:
            self._queue()
        self._driver.wait(self._stream)
        return self._pinned[1][:pictures].copy()

    def _reshape(self, shape: Shape) -> None:
        self._forget()
        self._pictures = 0  # should TensorRT refuse, the next run asks it again
        if not self._context.set_input_shape(self._name, shape):
            raise ModelError(f"TensorRT refuses {list(shape)}: {self._errors.reason()}")
        self._pictures = shape[0]

    def _queue(self) -> None:
        """Copy, compute, copy back."""
        given, made = (array[: self._pictures] for array in self._pinned)
        self._driver.upload(self._device[0], given, self._stream)
        if not self._context.execute_async_v3(self._stream):
            raise ModelError(f"TensorRT cannot run the engine: {self._errors.reason()}")
        self._driver.download(made, self._device[1], self._stream)

    def _record(self) -> bool:
        """Whether there is a graph now; an engine that cannot be recorded runs without."""
        if not self._recording:
            return False
        try:
            self._graph = self._driver.record(self._queue, self._stream)
        except ModelError as error:
            self._recording = False
            log.info("the engine runs without a CUDA graph: %s", error)
        return bool(self._graph)

    def _forget(self) -> None:
        if self._graph:
            self._driver.destroy_graph(self._graph)
            self._graph = 0

    def close(self) -> None:
        """Give back everything; the context goes before the memory that it was told of."""
        with self._undo:
            self._forget()
            self._context = None
