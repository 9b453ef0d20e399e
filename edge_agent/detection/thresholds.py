"""From which score a detection is reported: the manifest's confidence, or a class's own.

A class's own threshold is a decision of the line (what a miss costs there), so it stands in
agent.toml and changes neither the release nor what the monitors count.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from edge_agent.bundle import Manifest
from edge_agent.checked import nearest
from edge_agent.errors import ConfigError

if TYPE_CHECKING:
    from edge_agent.detection.decode import Limit


def limit_of(manifest: Manifest, thresholds: Mapping[str, float]) -> Limit:
    """The score above which detections are reported, for `edge_agent.detection.decode.above`.

    Args:
        manifest: of the release.
        thresholds: class name -> score, from ``[[model]] thresholds``.

    Returns:
        The manifest's confidence where no class has its own, else (classes,) float32.

    Raises:
        ConfigError: naming every class that the release does not have, and every score below its
            floor.
    """
    if not thresholds:
        return manifest.decode.confidence
    import numpy as np  # the updater, which has none, comes along here too

    classes, floor = manifest.classes, manifest.decode.floor
    limits = np.full(len(classes), manifest.decode.confidence, np.float32)
    faults = []
    for name, score in thresholds.items():
        if name not in classes:
            hint = nearest(name, classes) or f"; it has {', '.join(classes)}"
            faults.append(f'"{name}" is not a class of {manifest.name} {manifest.version}{hint}')
        elif score < floor:
            faults.append(
                f'"{name}" = {score:g} is below its floor, {floor:g}: nothing is kept there'
            )
        else:
            limits[classes.index(name)] = score
    if faults:
        raise ConfigError(f"[[model]] {manifest.name}: thresholds: {'; '.join(faults)}")
    return limits
