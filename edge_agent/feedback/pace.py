"""How long a camera's frames resemble each other, as commissioning found it."""

from __future__ import annotations

from edge_agent.config import Config
from edge_agent.errors import SourceError
from edge_agent.gate import Baseline


def independent_times(config: Config) -> dict[str, float]:
    """Camera -> integrated autocorrelation time in seconds; without those where it is not known."""
    found = {camera.id: _time_of(config, camera.id) for camera in config.cameras}
    return {camera: seconds for camera, seconds in found.items() if seconds is not None}


def _time_of(config: Config, camera: str) -> float | None:
    try:
        baseline = Baseline.read(config.layout.baseline(camera))
    except SourceError:  # the gate tells of it
        return None
    return None if baseline is None else baseline.independent_s
