"""The metrics by name: what a command, a test or a document can ask for."""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass

from edge_agent.checked import nearest
from edge_agent.errors import UsageError
from edge_agent.quality.plane import Picture


@dataclass(frozen=True)
class Metric:
    """One way to compare a picture with a reference.

    Attributes:
        name: as commands and documents have it.
        title: what the letters stand for.
        module, function: where it is; imported when it is first asked for.
        best: the score of two equal pictures.
        higher_is_better: the direction.
        least: the smallest side of a picture in pixels.
        colour: whether it looks at colour; the others take grey.
        good_at: one phrase for the person who must choose.
    """

    name: str
    title: str
    module: str
    function: str
    best: float
    higher_is_better: bool
    least: int
    colour: bool
    good_at: str

    def score(self, reference: Picture, image: Picture) -> float:
        """Compare ``image`` with ``reference`` (see the function's docstring).

        Args:
            reference: (H, W) or (H, W, 3) BGR, uint8 or floating point with levels 0..255.
            image: of the same size and kind.

        Raises:
            SourceError: sizes differ, a side is below ``least``, or it is not a picture.
        """
        module = importlib.import_module(f"edge_agent.quality.{self.module}")
        return float(getattr(module, self.function)(reference, image))


_ALL = (
    Metric("ssim", "structural similarity", "structural", "ssim",
           1.0, True, 11, False, "any change of structure; the yardstick of the others"),
    Metric("ssim-uniform", "SSIM with the gate's window", "structural", "ssim_uniform",
           1.0, True, 7, False, "the number that the input check would give at full size"),
    Metric("ms-ssim", "multi-scale SSIM", "structural", "ms_ssim",
           1.0, True, 161, False, "changes of structure, whatever the viewing distance"),
    Metric("mc-ssim", "motion-compensated SSIM", "motion", "mc_ssim",
           1.0, True, 32, False, "frames of one camera: moved parts are forgiven, freezes found"),
    Metric("3-ssim", "three-component SSIM", "structural", "three_ssim",
           1.0, True, 11, False, "damage at edges, for blurred and noisy pictures"),
    Metric("g-ssim", "gradient SSIM", "gradients", "g_ssim",
           1.0, True, 13, False, "blur"),
    Metric("uqi", "universal quality index", "structural", "uqi",
           1.0, True, 8, False, "faint noise on flat parts"),
    Metric("gmsm", "gradient magnitude similarity, mean", "gradients", "gmsm",
           1.0, True, 6, False, "lost edges, at the least cost"),
    Metric("gmsd", "gradient magnitude similarity, deviation", "gradients", "gmsd",
           0.0, False, 6, False, "damage in places: dirt, drops, compression; at the least cost"),
    Metric("vif", "visual information fidelity, pixel domain", "information", "vif",
           1.0, True, 41, False, "how much detail is left after blur, noise or compression"),
    Metric("iw-ssim", "information content weighted SSIM", "information", "iw_ssim",
           1.0, True, 161, False, "damage where there is something to see"),
    Metric("fsim", "feature similarity", "features", "fsim",
           1.0, True, 12, False, "lost features, whatever the contrast"),
    Metric("fsimc", "feature similarity with colour", "features", "fsimc",
           1.0, True, 12, True, "lost features and wrong colours"),
    Metric("vsi", "visual saliency-induced index", "saliency", "vsi",
           1.0, True, 12, True, "damage to what draws the eye"),
    Metric("mad", "most apparent distortion", "apparent", "mad",
           0.0, False, 50, False, "both barely visible and gross distortions"),
    Metric("nqm", "noise quality measure, dB", "noise", "nqm",
           math.inf, True, 64, False, "additive noise, as far as an eye would notice"),
    Metric("dscsi", "directional statistics colour similarity", "colour_index", "dscsi",
           1.0, True, 40, True, "wrong hue and colour: white balance, tint, fading"),
)  # fmt: skip

METRICS = {metric.name: metric for metric in _ALL}
EVERYTHING = "all"


def find(names: str) -> list[Metric]:
    """The metrics of a list such as ``ssim,gmsd``, in its order; ``all`` gives every one.

    Raises:
        UsageError: a name that is not known, with the nearest one.
    """
    if names.strip() == EVERYTHING:
        return list(METRICS.values())
    found: dict[str, Metric] = {}
    for name in (part.strip().lower() for part in names.split(",")):
        if name not in METRICS:
            known = ", ".join(METRICS)
            hint = nearest(name, METRICS)
            raise UsageError(f'"{name}" is not a metric; there are {known}, and all{hint}')
        found[name] = METRICS[name]
    return list(found.values())
