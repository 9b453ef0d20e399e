"""Memory for a second release: estimate, limits, and what is free."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import psutil
import pytest

from edge_agent.backends import Host
from edge_agent.backends.cuda import Driver
from edge_agent.errors import BundleError, ModelError
from edge_agent.loop.room import (
    Memory,
    free_host_mb,
    free_memory,
    needed_mb,
    room_for,
    shortage,
)
from tests.bundles import make_bundle
from tests.edge_agent.backends.pretend_cuda import PretendCuda

MEASURED = """
import json, sys
from edge_agent.bundle import Bundle
from edge_agent.detection.detector import Detector
from pathlib import Path
def rss():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024 / 1e6
small, large = (Bundle.open(Path(path)) for path in sys.argv[1:3])
Detector.load(small, threads=1).warm_up()
before = rss()
detector = Detector.load(large, threads=1)
detector.warm_up(together=int(sys.argv[3]))
print(json.dumps(rss() - before))
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """The small one."""
    return make_bundle(tmp_path_factory.mktemp("room") / "bundle", profile=False)


@pytest.mark.parametrize("pictures", [1, 4])
def test_the_estimate_is_above_what_a_real_network_takes(bundle, tmp_path, pictures):
    """The demo's model, beside another one, in a process of its own; and not far above.

    Also where it runs on the frames of several cameras at once, which takes more.
    """
    from builder.build import build
    from builder.options import BuildOptions

    source = "deploy/demo/models/defects-v2.pt"
    options = BuildOptions(prove="never", batch="1" if pictures == 1 else "dynamic")
    large = build(source, tmp_path / "large", options).bundle
    roots = [str(bundle.root), str(large.root)]
    command = [sys.executable, "-c", MEASURED, *roots, str(pictures)]
    taken = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    size, spec = large.manifest.entry("model/fp32.onnx").size, large.manifest.input
    needed = needed_mb(size, "fp32", spec.width, spec.height, pictures)
    assert taken < needed < 3 * taken + 10


def test_more_pictures_in_a_run_take_more(bundle):
    """A release that would fit with one camera is held with several."""
    one, four = (needed_mb(7_600_000, "fp32", 640, 640, pictures) for pictures in (1, 4))
    assert four > 2 * one
    assert room_for(bundle, "fp32", Memory(9.0), 0.0) == ""
    assert "needs about" in room_for(bundle, "fp32", Memory(9.0), 0.0, 4000)


def test_fewer_bits_on_disk_are_not_fewer_in_memory():
    """A half-precision file is widened to run on a CPU."""
    assert needed_mb(5_000_000, "fp16", 640, 640) == needed_mb(10_000_000, "fp32", 640, 640)


@pytest.mark.parametrize(
    ("free", "fits"),
    [
        (Memory(150.0), True),
        (Memory(149.0), False),
        (Memory(500.0, 150.0), True),
        (Memory(500.0, 149.0), False),
        (Memory(149.0, 500.0), False),
    ],
)
def test_need_and_reserve_must_both_fit(free, fits):
    """On the host and, where the model uses one, on the GPU."""
    assert (shortage(100.0, free, 50.0) == "") == fits


def test_the_reason_has_the_figures_and_the_key():
    """An operator reads it in `up/reported`."""
    text = shortage(65.2, Memory(500.0, 90.0), 64.0)
    assert text.startswith("it needs about 65 MB of the GPU beside the release in use; 90 MB are")
    assert "64 MB are kept in reserve ([[model]] reserve_mb)" in text


def test_a_variant_of_a_bundle(bundle):
    """By its own file; a variant that is not there is the bundle's fault."""
    assert room_for(bundle, "fp32", Memory(1000.0), 64.0) == ""
    assert "8 MB" in room_for(bundle, "auto", Memory(0.0), 64.0)
    with pytest.raises(BundleError, match="no variant"):
        room_for(bundle, "int4", Memory(1000.0), 64.0)


def host_with(cuda):
    """A machine with this driver."""
    return replace(Host(), driver=lambda: Driver(cuda))


def test_a_gpu_is_asked_only_where_it_is_used():
    """Its free memory; nothing of it is kept."""
    cuda = PretendCuda(memory=123_000_000)
    assert free_memory("cpu", host_with(cuda)).gpu_mb is None and cuda.calls == []
    assert free_memory("cuda", host_with(cuda)).gpu_mb == 123.0
    assert (cuda.held, cuda.faults) == (0, [])


def test_a_gpu_without_memory_of_its_own():
    """A Jetson's counts its page cache as taken: the host's figure is the right one."""
    assert free_memory("cuda", host_with(PretendCuda(integrated=True))).gpu_mb is None


def test_a_driver_that_went_away():
    """The host's memory is looked at all the same."""

    def gone():
        raise ModelError("no driver")

    assert free_memory("cuda", replace(Host(), driver=gone)).gpu_mb is None


def test_the_machine_s_memory_is_the_limit_without_control_groups(tmp_path):
    """As psutil says, where the files are not there or are version 1's."""
    (tmp_path / "own").write_text("4:memory:/x\n")
    for own in (tmp_path / "own", tmp_path / "none"):
        machine = psutil.virtual_memory().available / 1e6
        assert free_host_mb(tmp_path, own) == pytest.approx(machine, rel=0.2)


def test_a_control_group_may_allow_less(tmp_path):
    """A service's MemoryMax and those above it; the page cache can be had back."""
    group = tmp_path / "groups" / "system.slice" / "outpost.service"
    group.mkdir(parents=True)
    own = tmp_path / "own"
    own.write_text("1:name=systemd:/\n0::/system.slice/outpost.service\n")

    def limit(folder, most, used, cache):
        (folder / "memory.max").write_text(f"{most}\n")
        (folder / "memory.current").write_text(f"{used}\n")
        (folder / "memory.stat").write_text(f"anon 1\ninactive_file {cache}\n")

    limit(group, 200_000_000, 150_000_000, 20_000_000)
    assert free_host_mb(tmp_path / "groups", own) == 70.0
    limit(group.parent, 90_000_000, 80_000_000, 0)
    assert free_host_mb(tmp_path / "groups", own) == 10.0
    limit(group.parent, "max", 80_000_000, 0)
    assert free_host_mb(tmp_path / "groups", own) == 70.0
