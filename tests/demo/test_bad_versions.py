"""Bad versions change exactly what they say, and stay regular checkpoints."""

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from deploy.demo import bad_versions
from deploy.demo.bad_checkpoint import Checkpoint
from deploy.demo.bad_versions import KINDS, MEMORY_CHANNELS, SLOW_CHANNELS, derive

MODELS = Path(bad_versions.__file__).parent / "models"
GOOD = MODELS / "defects-v2.pt"
CLASS_CONVS = [f"model.24.cv3.{level}.2" for level in range(3)]
FIRST_LAYER = {
    "model.0.conv.weight",
    "model.0.bn.weight",
    "model.0.bn.bias",
    "model.0.bn.running_mean",
    "model.0.bn.running_var",
    "model.1.conv.weight",
}
CHANGES = {
    "nan": {"model.3.conv.weight"},
    "swapped": {f"{conv}.{part}" for conv in CLASS_CONVS for part in ("weight", "bias")},
    "oversensitive": {
        "model.24.cv3.0.0.conv.weight",
        "model.24.cv3.0.1.conv.weight",
        "model.24.cv3.0.2.weight",
        "model.24.cv3.0.2.bias",
    },
    "memory": FIRST_LAYER,
    "slow": FIRST_LAYER,
}


@pytest.fixture(scope="module")
def good():
    return Checkpoint.read(GOOD)


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    """Every kind, derived once."""
    folder = tmp_path_factory.mktemp("bad")
    for kind in KINDS:
        derive(kind, GOOD, folder / f"{kind}.pt")
    return {kind: folder / f"{kind}.pt" for kind in KINDS}


def same(one, other):
    return one.shape == other.shape and np.array_equal(one, other, equal_nan=True)


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_named_tensors_change(kind, good, bad):
    """Every other tensor, and every other file in the zip, keeps its bytes."""
    changed = Checkpoint.read(bad[kind])
    assert changed.tensors.keys() == good.tensors.keys()
    whole = [name for name, tensor in good.tensors.items() if tensor.whole]
    different = {n for n in whole if not same(good.values(n), changed.values(n))}
    assert different == CHANGES[kind]
    touched = {f"data/{good.tensors[name].key}" for name in different} | {"data.pkl"}
    for name, content in good.files.items():
        if name.split("/", 1)[1] not in touched:
            assert changed.files[name] == content


@pytest.mark.parametrize("kind", KINDS)
def test_same_source_same_bytes(kind, bad, tmp_path):
    """Deriving again writes the same file."""
    derive(kind, GOOD, tmp_path / "again.pt")
    assert (tmp_path / "again.pt").read_bytes() == bad[kind].read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_files_stay_small_and_in_order(kind, good, bad):
    """A bad version weighs no more than 2 MB and its zip lists what the good one's lists."""
    assert bad[kind].stat().st_size < 2e6
    with zipfile.ZipFile(bad[kind]) as archive:
        assert archive.namelist() == list(good.files)
        assert archive.testzip() is None


def test_nan_is_in_some_weights(bad):
    """Not all of them: a look at a mean or a maximum must find it."""
    share = np.isnan(Checkpoint.read(bad["nan"]).values("model.3.conv.weight")).mean()
    assert 0 < share < 0.01


def test_swapped_exchanges_two_rows(good, bad):
    """Scratch and dent change places on every level; broken_edge stays."""
    swapped = Checkpoint.read(bad["swapped"])
    for name in CHANGES["swapped"]:
        assert same(swapped.values(name), good.values(name)[[1, 0, 2]])


@pytest.mark.parametrize(
    ("kind", "channels"), [("memory", MEMORY_CHANNELS), ("slow", SLOW_CHANNELS)]
)
def test_widened_channels_are_zero(kind, channels, good, bad):
    """The old channels are as they were; the new ones can add nothing."""
    wide = Checkpoint.read(bad[kind])
    for name in FIRST_LAYER:
        before, after = good.values(name), wide.values(name)
        assert channels in after.shape
        old = tuple(slice(0, size) for size in before.shape)
        assert same(after[old], before)
        assert np.count_nonzero(after) == np.count_nonzero(before)


def test_oversensitive_wants_its_own_checkpoint(tmp_path):
    """Another network's features mean something else: refused with what to do."""
    with pytest.raises(ValueError, match=r"take models/defects-v2\.pt"):
        derive("oversensitive", MODELS / "defects-v1.pt", tmp_path / "x.pt")


def test_unknown_kind_is_refused(tmp_path):
    """The error lists the kinds."""
    with pytest.raises(ValueError, match="nan, swapped, oversensitive, memory, slow"):
        derive("worse", GOOD, tmp_path / "x.pt")


def test_a_text_file_is_one_clear_line(tmp_path):
    """The command exits with 2, names the file and shows no traceback."""
    source = tmp_path / "note.pt"
    source.write_text("not a model")
    command = [sys.executable, "-m", "deploy.demo.bad_versions", "nan", source, tmp_path / "x.pt"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "note.pt is not a checkpoint" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["nan", "swapped", "slow"])
def test_torch_loads_it_and_computes_as_told(kind, bad):
    """PyTorch sees NaN everywhere, two rows exchanged, or no difference at all."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("ultralytics")

    def outputs(path):
        network = torch.load(path, weights_only=False)["model"].float().eval()
        with torch.no_grad():
            return network(torch.linspace(0, 1, 3 * 128 * 128).reshape(1, 3, 128, 128))[0]

    before, after = outputs(GOOD), outputs(bad[kind])
    if kind == "nan":
        assert torch.isnan(after).all()
    elif kind == "swapped":
        assert torch.equal(after[:, [0, 1, 2, 3, 5, 4, 6]], before)
    else:
        assert torch.allclose(after, before, atol=1e-3)
