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
from edge_agent.errors import storage_errors

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
        assert process.stdin is not None and process.stdout is not None
        questions, answers, late = process.stdin, process.stdout, Event()

        def end() -> None:
            late.set()
            process.kill()

        def ask(tensor: Floats) -> Floats:
            watchdog = Timer(worker.TIMEOUT_S, end)
            watchdog.daemon = True  # Ctrl-C in the middle of a start must not wait for its end
            try:
                watchdog.start()
                questions.write(np.ascontiguousarray(tensor, np.float32).data)
                questions.flush()
                return _answer(answers, output)
            except ValueError as error:
                raise worker.failed("run", checkpoint, str(error), None, _ADVICE) from None
            except (OSError, EOFError):  # it has ended, or is about to
                code = _end_of(process)
                if late.is_set():
                    raise worker.too_late(checkpoint, _ADVICE) from None
                said.seek(0)
                text = said.read().decode("utf-8", "replace")
                raise worker.failed("run", checkpoint, text, code, _ADVICE) from None
            finally:
                watchdog.cancel()

        try:
            yield ask
        finally:
            process.kill()
            process.wait()
            answers.close()
            with suppress(OSError):  # what was not sent when it died
                questions.close()


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
