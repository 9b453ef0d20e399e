"""Fixed-edge histograms of what a model says and of what a camera sees.

The edges are part of the format: a profile made by the builder, a window on a device and a
baseline of last month can be compared and merged because they all count into the same bins.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]

# Inner edges; values outside fall into the first or the last bin, so a feature with k inner edges
# has k + 1 bins. About ten bins each: PSI's noise grows with the number of bins.
EDGES: dict[str, tuple[float, ...]] = {
    # scores of the detections kept down to the decode floor
    "score": (0.1, 0.15, 0.2, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85),
    # detections above the confidence, per frame
    "detections_per_frame": (0.5, 1.5, 2.5, 3.5, 5.5, 8.5, 12.5, 20.5, 50.5),
    # box area as a share of the frame
    "box_area": (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25),
    # width over height
    "box_aspect": (0.25, 0.4, 0.6, 0.8, 1.0, 1.25, 1.67, 2.5, 4.0),
    # grey level of the frame, 0..1
    "luminance": (0.1, 0.2, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7, 0.8, 0.9),
    # standard deviation of the grey level, 0..1
    "contrast": (0.02, 0.05, 0.08, 0.11, 0.14, 0.17, 0.2, 0.23, 0.26, 0.3),
    # mean red minus mean blue, -1..1
    "warmth": (-0.2, -0.1, -0.05, -0.02, 0.0, 0.02, 0.05, 0.1, 0.2, 0.3),
    # mean distance of a pixel from grey (largest minus smallest of R, G, B), 0..1
    "chroma": (0.01, 0.02, 0.04, 0.06, 0.08, 0.11, 0.14, 0.18, 0.24, 0.35),
    # log10 of the variance of the Laplacian of the reduced grey image (grey levels 0..255)
    "sharpness": (0.5, 1.0, 1.5, 2.0, 2.25, 2.5, 2.75, 3.0, 3.25, 3.5, 4.0),
    # SSIM against the reference; fine bins, because the gate's threshold is a quantile of it
    "ssim": tuple(round(0.02 * step, 2) for step in range(1, 50)),
    # root mean square over the channels, in standard deviations of the reference pictures
    "embedding_distance": (0.5, 0.7, 0.85, 1.0, 1.15, 1.4, 1.7, 2.0, 3.0, 5.0),
    # along the directions in which the reference pictures differ most, in the same unit
    **{f"embedding_{n}": (-2.5, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.5) for n in range(1, 5)},
}
CLASS_FEATURE = "class"
OUTPUT_FEATURES = ("score", "detections_per_frame", "box_area", "box_aspect", CLASS_FEATURE)
PICTURE_FEATURES = ("luminance", "contrast", "warmth", "chroma", "sharpness", "ssim")
EMBEDDING_FEATURES = ("embedding_distance", *(f"embedding_{n}" for n in range(1, 5)))
INPUT_FEATURES = (*PICTURE_FEATURES, *EMBEDDING_FEATURES)


@dataclass
class Histograms:
    """Counts per feature, in the fixed bins of `EDGES` plus one bin per class.

    Attributes:
        classes: number of classes of the model.
        frames: frames counted.
        counts: feature name -> int64 counts.
    """

    classes: int
    frames: int = 0
    counts: dict[str, Counts] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in (*OUTPUT_FEATURES, *INPUT_FEATURES):
            self.counts.setdefault(name, np.zeros(bins(name, self.classes), np.int64))

    def add(self, name: str, values: npt.ArrayLike) -> None:
        """Count values (scalar or any shape) of one feature; NaN is not counted."""
        counts = self.counts[name]
        if isinstance(values, (int, float)) and name != CLASS_FEATURE:
            # One number per frame is the usual case, and arrays cost ten times as much for it.
            if values == values:
                counts[bisect_right(EDGES[name], values)] += 1
            return
        data = np.asarray(values, np.float64).ravel()
        unknown = data != data
        if unknown.any():
            data = data[~unknown]
        if name == CLASS_FEATURE:
            # np.clip looks up the limits of the type at each call: ten times the time of this
            index = np.minimum(np.maximum(data.astype(np.int64), 0), self.classes - 1)
        else:
            index = np.searchsorted(_INNER[name], data, side="right")
        counts += np.bincount(index, minlength=len(counts))

    def merge(self, other: Histograms) -> None:
        """Add another window's counts to this one."""
        self.frames += other.frames
        for name, counts in other.counts.items():
            self.counts[name] += counts

    def to_document(self) -> dict[str, object]:
        """The JSON form: ``{"frames": n, "counts": {feature: [..]}}``."""
        counts = {name: values.tolist() for name, values in sorted(self.counts.items())}
        return {"frames": self.frames, "counts": counts}


_INNER = {name: np.asarray(edges, np.float64) for name, edges in EDGES.items()}


def bins(name: str, classes: int) -> int:
    """Number of bins of a feature."""
    return classes if name == CLASS_FEATURE else len(EDGES[name]) + 1


def quantile(counts: Sequence[int] | Counts, name: str, q: float) -> float:
    """The q-quantile of a feature from its counts, linear inside a bin.

    The open outer bins are taken as wide as their neighbours. NaN when nothing was counted.
    """
    values = np.asarray(counts, np.float64)
    total = values.sum()
    if total <= 0:
        return float("nan")
    inner = _INNER[name]
    low = inner[0] - (inner[1] - inner[0])
    high = inner[-1] + (inner[-1] - inner[-2])
    edges = np.concatenate(([low], inner, [high]))
    cumulative = np.concatenate(([0.0], np.cumsum(values))) / total
    return float(np.interp(q, cumulative, edges))
