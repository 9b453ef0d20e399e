"""The original in PyTorch over any number of pictures, one tensor at a time.

One process of `builder.torch_worker` loads the checkpoint once; a tensor goes in and its raw output
comes back before the next one goes, so memory does not grow with the pictures.
"""

from __future__ import annotations

import math
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Timer
from typing import IO

import numpy as np

from builder import worker
from builder.crew import in_order
from builder.look import Look
from builder.runner import Runner
from edge_agent.detection.decode import Floats
from edge_agent.detection.preprocess import Image, Placement
from edge_agent.errors import ModelError, storage_errors

_ADVICE = "build with --prove never"
_END_S = 5.0


@contextmanager
def original(
    checkpoint: Path, given: tuple[int, ...], output: tuple[int, ...]
) -> Iterator[Callable[[Floats], Floats]]:
    """What runs the original network: a float32 tensor in, its raw output out.

    Args:
        checkpoint: a file that the restricted reader has accepted.
        given: shape of the tensors, (1, 3, h, w).
        output: shape of their raw outputs, as the proof on the golden frames has found it.

    Raises:
        ModelError: when PyTorch cannot run it, with its last line, or gives no answer in time.
    """
    with (
        storage_errors(Path(tempfile.gettempdir())),
        tempfile.TemporaryDirectory(prefix="outpost-prove-") as name,
        Path(name, "stderr").open("w+b") as said,
    ):
        process = subprocess.Popen(
            worker.command("stream", checkpoint, *map(str, given[2:])),
            cwd=name, env=worker.environment(Path(name)),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said,
        )  # fmt: skip
        network = _Original(checkpoint, output, process, said)
        try:
            yield network.ask
        finally:
            network.end()


class _Original:
    """A running worker, asked one tensor at a time.

    Args:
        checkpoint: for messages.
        output: shape of its answers.
        process: the worker, with pipes.
        said: its stderr.
    """

    def __init__(
        self,
        checkpoint: Path,
        output: tuple[int, ...],
        process: subprocess.Popen[bytes],
        said: IO[bytes],
    ) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._checkpoint, self._output = checkpoint, output
        self._process, self._said = process, said
        self._questions, self._answers = process.stdin, process.stdout
        self._late = Event()

    def ask(self, tensor: Floats) -> Floats:
        """The raw output for one tensor; raises `ModelError`."""
        watchdog = Timer(worker.TIMEOUT_S, self._give_up)
        watchdog.daemon = True  # Ctrl-C in the middle of a start must not wait for its end
        try:
            watchdog.start()
            self._questions.write(np.ascontiguousarray(tensor, np.float32).data)
            self._questions.flush()
            return _answer(self._answers, self._output)
        except ValueError as error:
            raise worker.failed("run", self._checkpoint, str(error), None, _ADVICE) from None
        except (OSError, EOFError):  # it has ended, or is about to
            raise self._ended() from None
        finally:
            watchdog.cancel()

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._answers.close()
        with suppress(OSError):  # what was not sent when it died
            self._questions.close()

    def _give_up(self) -> None:
        self._late.set()
        self._process.kill()

    def _ended(self) -> ModelError:
        code = _end_of(self._process)
        if self._late.is_set():
            return worker.too_late(self._checkpoint, _ADVICE)
        self._said.seek(0)
        text = self._said.read().decode("utf-8", "replace")
        return worker.failed("run", self._checkpoint, text, code, _ADVICE)


def _end_of(process: subprocess.Popen[bytes]) -> int:
    """The exit code of a worker that is ending by itself; its last words are written then."""
    with suppress(subprocess.TimeoutExpired):
        return process.wait(timeout=_END_S)
    process.kill()
    return process.wait()


def _answer(file: IO[bytes], shape: tuple[int, ...]) -> Floats:
    """One raw output from the worker.

    Raises:
        ValueError: it is no array, or not one of that shape.
        EOFError: the worker is gone.
    """
    start = file.read(np.lib.format.MAGIC_LEN)
    if len(start) < np.lib.format.MAGIC_LEN:
        raise EOFError("it ended without an answer")
    if start != np.lib.format.magic(1, 0):
        raise ValueError(f"its answer begins with {start!r}, not like an array")
    found, by_columns, kind = np.lib.format.read_array_header_1_0(file)
    if (found, by_columns, kind) != (shape, False, np.dtype(np.float32)):
        raise ValueError(f"it gives {kind} of {found} for a picture, not float32 of {shape}")
    data = file.read(4 * math.prod(shape))
    if len(data) < 4 * math.prod(shape):
        raise EOFError("it ended in the middle of an answer")
    return np.frombuffer(data, np.float32).reshape(shape).copy()


def look_original(
    runner: Runner,
    ask: Callable[[Floats], Floats],
    names: Iterable[str],
    picture: Callable[[str], Image],
    floor: float,
) -> Look:
    """The original's detections on pictures, under the deployed preprocessing and decoding.

    Args:
        runner: of the fp32 graph; lends preprocessing and decoding, runs nothing.
        ask: from `original`.
        names: of the pictures.
        picture: reads one by its name.
        floor: score down to which detections are kept; at most the manifest's.
    """

    def prepare(name: str) -> tuple[str, Floats, Placement]:
        return name, *runner.tensor(picture(name))

    def decode(made: tuple[str, Floats, Placement]) -> tuple[str, Floats, Placement]:
        name, raw, placement = made
        return name, runner.detections(raw, placement, floor=floor)[0], placement

    seen = Look(floor)
    raws = ((name, ask(one), place) for name, one, place in in_order(prepare, names))
    for name, found, placement in in_order(decode, raws):
        seen.add(name, found, placement, None)
    return seen
