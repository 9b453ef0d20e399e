"""The reader and the graph writer under hypothesis: an honest answer to everything, nothing run.

More examples than the suite has time for: ``OUTPOST_FUZZ=20000 pytest`` on this file.
"""

from __future__ import annotations

import os
import pickletools
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder.checkpoint import read_checkpoint
from builder.checkpoint.allowed import find
from builder.checkpoint.machine import INSTRUCTIONS, Machine
from builder.checkpoint.refusal import Refusal
from builder.errors import CheckpointError, GraphError
from builder.graph import write_onnx
from tests.builder.forge import (
    Dump,
    New,
    Raw,
    Tensor,
    dump,
    head,
    network,
    odd_layers,
    write_archive,
)
from tests.builder.hostile import CODE, bare

EXAMPLES = int(os.environ.get("OUTPOST_FUZZ", "60"))
QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
SOME = settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=QUIET)

FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect",
             "pickle.find_class", "os.remove", "os.mkdir", "shutil.rmtree")  # fmt: skip
watching: list[str] | None = None


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if watching is not None and event in FORBIDDEN:
        watching.append(f"{event}{arguments}")


sys.addaudithook(_watch)


@contextmanager
def nothing_runs() -> Iterator[None]:
    """Python itself reports what would run a command, load a pickle or touch the disk."""
    global watching
    watching = []
    try:
        yield
    finally:
        seen, watching = watching, None
    assert seen == []


def answer(path: Path) -> str:
    """Read and draw a file, within 2 s of CPU; one line, whatever it is."""
    start = time.process_time()
    try:
        with nothing_runs():
            write_onnx(read_checkpoint(path), height=64, width=64)
        said = "taken"
    except (CheckpointError, GraphError) as error:
        said = str(error)
        assert said.startswith(str(path)) and "\n" not in said
        assert len(said) < 1000 + len(str(path)), said
    assert time.process_time() - start < 2
    return said


NAMES = [
    b"cos\nsystem\n", b"cbuiltins\neval\n", b"cbuiltins\ngetattr\n", b"ctorch\nload\n",
    b"ctorch.nn.modules.conv\nConv2d\n", b"ccollections\nOrderedDict\n", b"cbuiltins\nset\n",
    b"ctorch._utils\n_rebuild_tensor_v2\n", b"cnumpy.core.multiarray\n_reconstruct\n",
    b"cnumpy\ndtype\n", b"c_codecs\nencode\n", b"ctorch\nSize\n", b"cpathlib\nPosixPath\n",
    b"ctypes\nSimpleNamespace\n", b"ctorch\nFloatStorage\n", b"c__builtin__\nxrange\n",
]  # fmt: skip
VALUES = [b"N", b"\x88", b")", b"]", b"}", b"(", b"K\x03", b"X\x01\x00\x00\x00x", b"q\x00",
          b"h\x00", b"\x8a\x01\x05", b"G\x7f\xf0\x00\x00\x00\x00\x00\x00"]  # fmt: skip
instruction = st.one_of(
    st.sampled_from([*NAMES, *VALUES]),
    st.sampled_from([bytes([code]) for code in INSTRUCTIONS]),
    st.binary(min_size=1, max_size=6),
)


@SOME
@given(st.lists(instruction, max_size=60))
def test_any_instructions(code):
    """Whatever a pickle says, the machine gives a value or a Refusal, and no other exception."""

    def storage(identity: object) -> object:
        raise Refusal("has a persistent id")

    machine = Machine(b"\x80\x02" + b"".join(code) + b".", find=find, persistent=storage)
    try:
        with nothing_runs():
            machine.run()
    except Refusal as refusal:
        assert "\n" not in str(refusal) and len(str(refusal)) < 500


@SOME
@given(
    st.integers(0, 600), st.sampled_from(sorted(CODE)), st.just(bare("key")) | st.binary(max_size=3)
)
def test_code_at_any_place(tmp_path, at, name, lead):
    """What would run, put between two instructions of an honest pickle: never taken silently.

    As an entry more of a dictionary it leaves all around it honest.
    """
    good = dump({"model": network()})
    starts = [start for _, _, start in pickletools.genops(good.pickle)][1:]
    value = CODE[name][0]
    place = starts[at % len(starts)]
    bomb = value.code if isinstance(value, Raw) else bare(value)
    pickle = good.pickle[:place] + lead + bomb + good.pickle[place:]
    assert answer(write_archive(tmp_path / "best.pt", Dump(pickle, good.storages))) != "taken"


number = st.one_of(
    st.integers(-4, 70), st.sampled_from([2**31, 2**40, 2**62, -(2**31)]), st.none(), st.text()
)


STORED = np.arange(16, dtype="<f4")


def numpys_view(shape: list[Any], strides: list[Any], offset: Any) -> np.ndarray | None:
    """What numpy sees there in `STORED`; None where a step leads outside of it or backwards."""
    numbers = [*shape, *strides, offset]
    if not all(isinstance(one, int) and one >= 0 for one in numbers) or len(shape) != len(strides):
        return None
    try:
        return np.ndarray(shape, "<f4", STORED, 4 * offset, [4 * step for step in strides])
    except (ValueError, OverflowError):
        return None


@SOME
@given(
    st.lists(number, max_size=5), st.lists(number, max_size=5), number, number,
    st.sampled_from(["FloatStorage", "HalfStorage", "BoolStorage", "BFloat16Storage"]),
)  # fmt: skip
def test_any_view_of_a_storage(tmp_path, shape, strides, offset, count, kind):
    """Sizes, strides, offsets and counts that lie: taken only where the view stays inside."""
    lie = Tensor(STORED, tuple(shape), tuple(strides), offset, count, kind)
    said = answer(write_archive(tmp_path / "best.pt", dump({"model": network(extra=lie)})))
    assert said != "taken" or numpys_view(shape, strides, offset) is not None


@SOME
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 6)), max_size=3), st.integers(-2, 1))
def test_a_view_is_taken_just_where_numpy_takes_it(tmp_path, steps, beyond):
    """Views that end about where the storage does: refused, or the numbers that numpy sees."""
    shape, strides = [size for size, _ in steps], [step for _, step in steps]
    offset = STORED.size + beyond - sum((size - 1) * step for size, step in steps)
    view = Tensor(STORED, tuple(shape), tuple(strides), offset)
    path = write_archive(tmp_path / "best.pt", dump({"model": network(extra=view)}))
    expected = numpys_view(shape, strides, offset)
    assert (answer(path) == "taken") == (expected is not None)
    if expected is not None:
        assert np.array_equal(read_checkpoint(path).model.get("extra"), expected)


plain = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**40), 2**40), st.floats(), st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=4),
        st.lists(inner, max_size=3).map(tuple),
    ),
    max_leaves=8,
)  # fmt: skip


NAMED = re.compile(r": .*(\bmodel\.\d|\w\.[A-Z]\w+|class names|the head expects)")
"""A refusal's own words for the place: a layer's number, a part's class, or what is counted."""


def parts(part: Any) -> list[New]:
    """A network's parts, the outermost first."""
    inner = [one for child in part.state["_modules"].values() for one in parts(child)]
    return [part, *inner]


@SOME
@given(st.integers(0, 60), st.integers(0, 40), plain, st.booleans(), st.booleans())
def test_any_value_of_any_attribute(tmp_path, which, attribute, value, remove, odd):
    """One attribute of one part is something else, or gone: named, not met by a traceback."""
    model = network(odd_layers(), last=head(8, 2, f=[8])) if odd else network()
    part = parts(model)[which % len(parts(model))]
    holders = [part.state, part.state["_parameters"], part.state["_modules"]]
    places = [(holder, key) for holder in holders for key in holder]
    holder, key = places[attribute % len(places)]
    if remove:
        del holder[key]
    else:
        holder[key] = value
    said = answer(write_archive(tmp_path / "best.pt", dump({"model": model})))
    assert said == "taken" or NAMED.search(said)


def test_odd_layers_are_taken(tmp_path):
    """What the test above changes is honest to begin with."""
    model = network(odd_layers(), last=head(8, 2, f=[8]))
    assert answer(write_archive(tmp_path / "best.pt", dump({"model": model}))) == "taken"


@SOME
@given(plain, plain, plain)
def test_any_top_level(tmp_path, arguments, metrics, date):
    """Training arguments, metrics and dates of any shape never spoil a good network."""
    top = {"model": network(), "train_args": arguments, "train_metrics": metrics, "date": date,
           "git": arguments, "version": metrics, "license": date}  # fmt: skip
    said = answer(write_archive(tmp_path / "best.pt", dump(top)))
    assert said == "taken" or "damaged pickle" in said or "settings" in said


def test_the_watch_sees():
    """The hook is armed: Python's own unpickler would have been reported."""
    import pickle

    with pytest.raises(AssertionError, match=r"pickle\.find_class"), nothing_runs():
        pickle.loads(b"cos\nsystem\n.")
