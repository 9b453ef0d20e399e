"""Is there memory for a second release beside the one in use? Asked before it is loaded.

The need is estimated from the file and the input's size. Measured on ONNX Runtime's CPU provider
(yolov5n, s and m at 320, 640 and 1280 pixels, the demo's model at 256), the estimate was 1.05 to
1.4 times what loading and running really took; for 2 to 4 pictures in a run (yolov5n at 640) 1.3 to
1.8 times.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from edge_agent.backends import Host
from edge_agent.bundle import Bundle
from edge_agent.errors import OutpostError

_WEIGHTS = 2.3  # as read and as packed for the kernels, per byte of a float32 file
_ACTIVATIONS = 24e-3  # bytes per pixel grow with the width, so with the root of the file's bytes
_REST_MB = 8.0
_MEGA = 1e6
_GROUPS, _OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


@dataclass(frozen=True)
class Memory:
    """What is free, in MB (10^6 bytes).

    Attributes:
        host_mb: that this process may still take.
        gpu_mb: of a GPU with memory of its own; None where the model does not use one.
    """

    host_mb: float
    gpu_mb: float | None = None


def needed_mb(size: int, precision: str, width: int, height: int, pictures: int = 1) -> float:
    """What loading and running a variant takes, in MB (10^6 bytes).

    Args:
        size: of its file in bytes.
        precision: of the variant; fewer bits on disk are not fewer everywhere in memory.
        width: of the input in pixels.
        height: of the input in pixels.
        pictures: that one run may get.
    """
    whole = size * (1 if precision == "fp32" else 2)
    activations = _ACTIVATIONS * math.sqrt(whole) * width * height * pictures
    return (_WEIGHTS * whole + activations) / _MEGA + _REST_MB


def shortage(needed: float, free: Memory, reserve_mb: float) -> str:
    """Why a release cannot be loaded beside the one in use, or "" when it can. Pure."""
    for place, there in (("", free.host_mb), (" of the GPU", free.gpu_mb)):
        if there is not None and there - reserve_mb < needed:
            return (
                f"it needs about {needed:.0f} MB{place} beside the release in use; {there:.0f} MB"
                f" are free, of which {reserve_mb:.0f} MB are kept in reserve"
                " ([[model]] reserve_mb)"
            )
    return ""


def room_for(
    bundle: Bundle, variant: str, free: Memory, reserve_mb: float, pictures: int = 1
) -> str:
    """`shortage` for one variant of a bundle; raises `BundleError` without such a variant."""
    manifest = bundle.manifest
    chosen = manifest.variant(variant)
    size, spec = manifest.entry(chosen.path).size, manifest.input
    needed = needed_mb(size, chosen.precision, spec.width, spec.height, pictures)
    return shortage(needed, free, reserve_mb)


def free_memory(provider: str, host: Host = Host()) -> Memory:  # noqa: B008 - frozen
    """What is free now, on the GPU too when the active provider uses it."""
    return Memory(free_host_mb(), None if provider == "cpu" else _free_gpu_mb(host))


def _free_gpu_mb(host: Host) -> float | None:
    try:
        driver = host.driver()
    except OutpostError:
        return None
    try:
        # A Jetson's GPU shares the host's memory, and counts its page cache as taken.
        return None if driver.integrated else float(driver.free_bytes() / _MEGA)
    finally:
        driver.close()


def free_host_mb(groups: Path = _GROUPS, own: Path = _OWN) -> float:
    """What the machine has, or the control groups allow (a service's MemoryMax, a container).

    Args:
        groups: where control groups (version 2) are mounted.
        own: names the one of this process.
    """
    import psutil

    machine = float(psutil.virtual_memory().available / _MEGA)
    try:
        line = next(one for one in own.read_text("ascii").splitlines() if one.startswith("0::"))
    except (OSError, StopIteration):
        return machine
    group = groups / line[3:].lstrip("/")
    above = [each for each in (group, *group.parents) if each.is_relative_to(groups)]
    return min([machine, *(_allowed_mb(each) for each in above)])


def _allowed_mb(group: Path) -> float:
    """What a control group still allows; infinite where it limits nothing."""
    try:
        most = (group / "memory.max").read_text("ascii").strip()
        used = int((group / "memory.current").read_text("ascii"))
        lines = (group / "memory.stat").read_text("ascii").splitlines()
        cache = sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
        return math.inf if most == "max" else (int(most) - used + cache) / _MEGA
    except (OSError, ValueError):
        return math.inf
