"""One battery for every runtime; `conftest.py` says which, and which of them are pretended."""

import dataclasses
import threading

import numpy as np
import pytest

from edge_agent.backends import load_backend
from edge_agent.detection.detector import contract
from edge_agent.errors import ModelError
from tests.bundles import make_bundle
from tests.edge_agent.backends.conftest import CONTRACT, model_file, random_tensor


@pytest.fixture
def backend(runtime, tmp_path):
    """The graph with a free number of pictures; afterwards nothing is left on the device."""
    loaded = runtime.load(model_file(tmp_path))
    yield loaded
    loaded.close()
    if runtime.cuda is not None:
        assert (runtime.cuda.faults, runtime.cuda.held) == ([], 0)


def test_runs_and_says_what_it_is(backend, runtime):
    """Raw output of the promised shape, active and wanted provider named."""
    raw = backend.run(random_tensor(1))
    assert raw.shape == backend.output_shape == (1, 7, 64)
    assert raw.dtype == np.float32
    assert (backend.input_shape, backend.max_batch) == ((1, 3, 64, 64), 4)
    assert (backend.provider, backend.wanted_provider) == (runtime.provider, runtime.provider)
    assert backend.fallback_reason == ""


def test_on_a_gpu_for_real(real, tmp_path, reference):
    """Where the machine has it, every test here runs on it; elsewhere this one says what lacks."""
    backend = real.load(model_file(tmp_path))
    assert (backend.provider, backend.fallback_reason) == (real.provider, "")
    tensor = random_tensor(3)
    assert np.abs(backend.run(tensor) - reference(tensor)).max() <= real.exact
    backend.close()


def test_any_number_of_pictures(backend, runtime, reference):
    """Fewer, as many as and more than one run takes, in any order: each equal to its own run."""
    for seed, pictures in enumerate((1, 1, 1, 3, 3, 3, 3, 4, 2, 1, 1, 11, 1)):
        tensor = random_tensor(pictures, seed)
        raw = backend.run(tensor)
        assert raw.shape == (pictures, 7, 64)
        assert np.abs(raw - reference(tensor)).max() <= max(runtime.exact, 1e-6)


def test_a_graph_for_one_picture_takes_several(runtime, tmp_path, reference):
    """It is run once for each, whatever the contract would allow."""
    one = runtime.load(model_file(tmp_path, batch=1))
    tensor = random_tensor(3)
    assert one.max_batch == 1
    assert np.abs(one.run(tensor) - reference(tensor)).max() <= max(runtime.exact, 1e-6)
    one.close()


def test_results_are_kept_by_the_caller(backend):
    """A later run does not write into an earlier output."""
    for pictures in (1, 1, 1, 4, 4, 4):
        first = backend.run(random_tensor(pictures, 1))
        before = first.copy()
        backend.run(random_tensor(pictures, 2))
        assert np.array_equal(first, before)


def test_a_tensor_may_be_a_view(backend, runtime, reference):
    """What the caller gives need not be contiguous."""
    tensor = random_tensor(4)[::2]
    assert np.abs(backend.run(tensor) - reference(tensor)).max() <= max(runtime.exact, 1e-6)


@pytest.mark.parametrize(
    "tensor",
    [
        np.zeros((1, 3, 32, 32), np.float32),
        np.zeros((1, 3, 64, 64), np.float64),
        np.zeros((0, 3, 64, 64), np.float32),
        np.zeros((3, 64, 64), np.float32),
    ],
    ids=["size", "type", "none", "axes"],
)
def test_a_wrong_tensor_is_one_line(backend, tensor):
    """Its own shape and the wanted one; the backend goes on."""
    with pytest.raises(ModelError, match=r"the graph takes float32 \[1 or more, 3, 64, 64\]"):
        backend.run(tensor)
    assert backend.run(random_tensor(1)).shape == (1, 7, 64)


def test_what_is_not_finite_comes_through(backend):
    """A NaN in the picture is a NaN in the output: the decoder counts it."""
    tensor = random_tensor(2)
    tensor[1, :, :8, :8] = np.nan
    raw = backend.run(tensor)
    assert np.isnan(raw[1, :, 0]).all() and np.isfinite(raw[0]).all()


def test_loaded_in_one_thread_and_run_in_others(backend):
    """A loader thread and one per camera: a context is current in one thread only."""
    results = []

    def camera(seed: int) -> None:
        results.append(backend.run(random_tensor(1, seed)))

    for seed in range(3):
        thread = threading.Thread(target=camera, args=(seed,))
        thread.start()
        thread.join()
    assert len(results) == 3


def test_two_at_once_and_closed_in_turn(runtime, tmp_path):
    """The new one is loaded and runs before the old one goes, and after."""
    file = model_file(tmp_path)
    old = runtime.load(file)
    new = runtime.load(file)
    expected = old.run(random_tensor(1))
    old.close()
    assert np.array_equal(new.run(random_tensor(1)), expected)
    new.close()
    if runtime.cuda is not None:
        assert (runtime.cuda.faults, runtime.cuda.held) == ([], 0)


def test_closing_twice_is_harmless(backend, runtime):
    """As after an error in the middle of a swap: all is given back at once, nothing twice."""
    backend.run(random_tensor(1))
    backend.close()
    if runtime.cuda is not None:
        assert runtime.cuda.held == 0
        runtime.cuda.calls.clear()
    backend.close()
    assert runtime.cuda is None or runtime.cuda.calls == []
    with pytest.raises((ModelError, AssertionError)):  # nothing is left that could run
        backend.run(random_tensor(1))


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x08" * 4000])
def test_a_damaged_file_is_refused_by_name(runtime, tmp_path, content):
    """Rubbish, an empty file and a cut-off one name the file; nothing is left on the device."""
    file = model_file(tmp_path)
    file.path.write_bytes(content)
    with pytest.raises(ModelError, match=r"^[^:]*small\.onnx: ") as caught:
        runtime.load(file)
    assert "\n" not in str(caught.value)
    assert runtime.cuda is None or runtime.cuda.held == 0


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"input_shape": (1, 3, 96, 96)}, "takes"),
        ({"channels": 9}, "gives"),
        ({"channels": 9, "channel_axis": 2}, "gives"),
    ],
)
def test_another_graph_than_promised_is_refused(runtime, tmp_path, changes, word):
    """The manifest's promise is compared with the graph; nothing is left on the device."""
    promise = dataclasses.replace(CONTRACT, **changes)
    with pytest.raises(ModelError, match=rf"small\.onnx: .*{word} .*build the bundle again"):
        runtime.load(model_file(tmp_path), promise)
    assert runtime.cuda is None or runtime.cuda.held == 0


def test_memory_is_a_named_reason(tmp_path):
    """An allocation that fails is put into words."""
    bundle = make_bundle(tmp_path, memory_mb=1 << 30, profile=False)
    file = dataclasses.replace(model_file(tmp_path), path=bundle.path("model/fp32.onnx"))
    backend = load_backend(file, contract(bundle.manifest))
    with pytest.raises(ModelError, match="needs more memory"):
        backend.run(np.zeros((1, 3, 64, 64), np.float32))
