"""The reference profile: what the model's outputs and its input looked like at build time.

``profile.json`` in a bundle: ``{"schema_version": 1, "classes": n, "frames": n, "source": "...",
"counts": {feature: [...]}}``, counted through the deployed preprocessing into the bins of
`edge_agent.monitors.histogram`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_agent.bundle import Bundle
from edge_agent.checked import Fields, canonical_json
from edge_agent.errors import BundleError
from edge_agent.monitors.histogram import INPUT_FEATURES, OUTPUT_FEATURES, Histograms, bins

SCHEMA_VERSION = 1
_MOST_COUNTED = 2**53  # what a float, and so JSON, still counts one by one


@dataclass(frozen=True)
class Profile:
    """Histograms over the validation images and a word on where those came from."""

    histograms: Histograms
    source: str

    @classmethod
    def parse(
        cls, data: bytes, *, where: str = "profile.json", classes: int | None = None
    ) -> Profile:
        """Read profile bytes.

        Args:
            data: of profile.json.
            where: what to call it in a message.
            classes: of the model it must belong to; None accepts any.

        Raises:
            BundleError: listing every fault.
        """
        try:
            document = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise BundleError(f"{where}: not JSON ({error}); build the bundle again") from None
        fields = Fields(document)
        if fields.integer("schema_version") != SCHEMA_VERSION:
            fields.fault("schema_version", f"only {SCHEMA_VERSION} is known here; update Outpost")
        counted = fields.integer("classes", least=1, most=100_000)
        if classes is not None and counted != classes:
            fields.fault("classes", f"are {counted}, the model has {classes}; build it again")
        histograms = Histograms(counted, fields.integer("frames", least=0))
        counts = fields.table("counts")
        for name in (*OUTPUT_FEATURES, *INPUT_FEATURES):
            values = counts.numbers(name)
            if len(values) != bins(name, counted) or not all(map(_is_count, values)):
                counts.fault(name, f"should hold {bins(name, counted)} counts")
            else:
                histograms.counts[name] = np.asarray(values, np.int64)
        source = fields.text("source", "")
        if fields.faults:
            raise BundleError(f"{where}: " + "; ".join(fields.faults))
        return cls(histograms, source)

    @classmethod
    def of(cls, bundle: Bundle, variant: str = "auto") -> Profile | None:
        """The profile of a bundle's variant, None when there is none; raises `BundleError`."""
        path = bundle.manifest.profile_for(variant)
        if path is None:
            return None
        return cls.read(bundle.path(path), classes=len(bundle.manifest.classes))

    @classmethod
    def read(cls, path: Path, *, classes: int | None = None) -> Profile:
        """Read a profile file (see `parse`); raises `BundleError`."""
        try:
            return cls.parse(path.read_bytes(), where=str(path), classes=classes)
        except OSError as error:
            raise BundleError(f"{path}: {error.strerror}; build the bundle again") from None

    def to_bytes(self) -> bytes:
        """The canonical bytes of profile.json."""
        document = self.histograms.to_document()
        document |= {
            "schema_version": SCHEMA_VERSION,
            "classes": self.histograms.classes,
            "source": self.source,
        }
        return canonical_json(document)


def _is_count(value: float) -> bool:
    return 0 <= value <= _MOST_COUNTED and value == int(value)
