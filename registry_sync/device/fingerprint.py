"""What a release was judged on: a ban holds for one release on one runtime.

An upgrade of the OS, the driver or the engine changes the fingerprint and so re-opens the question
by itself. Versions are read from package metadata; nothing heavy is imported.
"""

from __future__ import annotations

import contextlib
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from edge_agent.config import Model

_PACKAGES = ("onnxruntime", "onnxruntime-gpu", "tensorrt", "tensorrt-rtx-cu12")
_L4T = Path("/etc/nv_tegra_release")


def fingerprint(model: Model) -> str:
    """The runtime of one model on this device, in one line."""
    parts = [platform.machine()]
    for name in _PACKAGES:
        try:
            parts.append(f"{name}-{version(name)}")
        except PackageNotFoundError:
            continue
    with contextlib.suppress(OSError):  # absent where this is no Jetson
        parts.append(_L4T.read_text(encoding="ascii", errors="replace").split("\n")[0].strip("# "))
    return " ".join([*parts, "+".join(model.providers), model.variant])
