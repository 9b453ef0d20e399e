"""A picture's embedding as a few features: how far it is from the reference, and in which way.

An embedding has hundreds of channels, and drift is counted feature by feature; so it is looked at
as statistical process control looks at many gauges at once (Jackson, A User's Guide to Principal
Components, 1991): along the directions in which the reference pictures differ most, and by the
distance from their mean, which also sees what they never did. Each channel is first put into its
own standard deviations, so that no loud one drowns the others.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_agent.bundle import Bundle
from edge_agent.checked import Fields, canonical_json
from edge_agent.errors import BundleError
from edge_agent.monitors.histogram import EMBEDDING_FEATURES

SCHEMA_VERSION = 1
DIRECTIONS = len(EMBEDDING_FEATURES) - 1
LEAST_PICTURES = 20
"""Below this the directions are those of chance."""
_LEAST_SPREAD = 0.1
"""Of the median channel's: one that never moved in the reference must not outweigh the others."""
_DIGITS = 6
_LARGEST = 1e30

Reals = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Projection:
    """What turns an embedding into features; made once, from the reference pictures.

    Attributes:
        mean: (channels,) of the reference.
        spread: (channels,) standard deviations of it, above 0.
        directions: (`DIRECTIONS`, channels); along each the reference has a deviation of 1.
        pictures: of the reference.
    """

    mean: Reals
    spread: Reals
    directions: Reals
    pictures: int

    @classmethod
    def fit(cls, embeddings: npt.ArrayLike) -> Projection:
        """The projection of (pictures, channels) embeddings; the same ones give the same numbers.

        Raises:
            ValueError: there are fewer than `LEAST_PICTURES`, or what is not finite.
        """
        values = np.asarray(embeddings, np.float64)
        if len(values) < LEAST_PICTURES or not np.isfinite(values).all():
            raise ValueError(f"needs {LEAST_PICTURES} embeddings or more, of finite numbers")
        spread = _spread(values)
        standard = (values - values.mean(0)) / spread
        _, _, found = np.linalg.svd(standard, full_matrices=False)
        directions = np.zeros((DIRECTIONS, values.shape[1]))
        for index, direction in enumerate(found[:DIRECTIONS]):
            width = float((standard @ direction).std())
            # A direction has no sign of its own: the largest part is made positive.
            sign = np.sign(direction[np.abs(direction).argmax()])
            if width > 1e-9:
                directions[index] = sign * direction / width
        return cls(_short(values.mean(0)), _short(spread), _short(directions), pictures=len(values))

    def features(self, embedding: npt.NDArray[np.float32]) -> dict[str, float]:
        """(channels,) -> feature -> value; NaN where the embedding is not finite."""
        standard = (embedding - self.mean) / self.spread
        distance = float(np.sqrt((standard * standard).mean()))
        along = (self.directions @ standard).tolist()
        return dict(zip(EMBEDDING_FEATURES, (distance, *along), strict=True))

    @classmethod
    def parse(cls, data: bytes, *, where: str, channels: int) -> Projection:
        """Read what `to_bytes` wrote, for so many channels; `BundleError` lists every fault."""
        try:
            document = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise BundleError(f"{where}: not JSON ({error}); build the bundle again") from None
        fields = Fields(document)
        if fields.integer("schema_version") != SCHEMA_VERSION:
            fields.fault("schema_version", f"only {SCHEMA_VERSION} is known here; update Outpost")
        rows = {name: fields.numbers(name) for name in ("mean", "spread")}
        directions = fields.rows("directions", width=channels)
        pictures = fields.integer("pictures", least=LEAST_PICTURES)
        for name, row in rows.items():
            if len(row) != channels:
                fields.fault(name, f"should hold {channels} numbers, as the manifest says")
        for name, row in (*rows.items(), *(("directions", row) for row in directions)):
            if max(map(abs, row), default=0.0) > _LARGEST:
                fields.fault(name, f"holds a number beyond {_LARGEST:g}")
        if min(rows["spread"], default=1.0) <= 0:
            fields.fault("spread", "should be above 0")
        if len(directions) != DIRECTIONS:
            fields.fault("directions", f"should be {DIRECTIONS}")
        if fields.faults:
            raise BundleError(f"{where}: " + "; ".join(fields.faults))
        return cls(
            np.asarray(rows["mean"]), np.asarray(rows["spread"]), np.asarray(directions), pictures
        )

    @classmethod
    def of(cls, bundle: Bundle) -> Projection | None:
        """A bundle's, None where it has no embedding; raises `BundleError`."""
        spec = bundle.manifest.embedding
        if spec is None:
            return None
        path: Path = bundle.path(spec.path)
        try:
            return cls.parse(path.read_bytes(), where=str(path), channels=spec.channels)
        except OSError as error:
            raise BundleError(f"{path}: {error.strerror}; build the bundle again") from None

    def to_bytes(self) -> bytes:
        """The canonical bytes of ``embedding.json``."""
        document: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "pictures": self.pictures,
            "mean": self.mean.tolist(),
            "spread": self.spread.tolist(),
            "directions": self.directions.tolist(),
        }
        return canonical_json(document)


def _spread(values: Reals) -> Reals:
    """Each channel's standard deviation, at least a share of the median one; 1 if none moves."""
    deviation: Reals = values.std(0)
    moving = deviation[deviation > 0]
    least = _LEAST_SPREAD * float(np.median(moving)) if moving.size else 1.0
    return np.maximum(deviation, least)


def _short(values: Reals) -> Reals:
    """Six digits: what is written down is what is computed with, here and on devices."""
    rounded = [float(f"{value:.{_DIGITS}g}") for value in values.ravel().tolist()]
    return np.asarray(rounded).reshape(values.shape)
