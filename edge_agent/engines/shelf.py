"""Where engines lie: ``engines/<key>/`` beside a bundle's own files.

They are no part of the bundle: not in its manifest, not in its digest, not published. A device or a
build machine makes them again when they are gone.

::

    engines/<key>/model.engine    the plan
    engines/<key>/engine.json     {"schema_version": 1, "variant", "key": {…}, "size", "sha256"}
    engines/timing.cache          of the last build on this device
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from edge_agent.atomic import make_dirs, write_atomic
from edge_agent.bundle import hash_file
from edge_agent.checked import canonical_json
from edge_agent.engines.key import EngineKey

FOLDER = "engines"
PLAN = "model.engine"
CARD = "engine.json"
TIMING = "timing.cache"


class Shelf:
    """The engines of one bundle."""

    def __init__(self, bundle: Path) -> None:
        self.root = bundle / FOLDER

    def find(self, key: EngineKey) -> Path | None:
        """The whole, undamaged engine with this key, None when there is none."""
        folder = self.root / key.digest
        plan, card = folder / PLAN, folder / CARD
        try:
            document = json.loads(card.read_bytes())
            same = document["key"] == json.loads(canonical_json(asdict(key)))
            right = same and document["sha256"] == hash_file(plan)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return plan if right else None

    def put(self, key: EngineKey, variant: str, plan: bytes) -> Path:
        """Keep an engine; the card is written last, so half a plan is never found."""
        folder = self.root / key.digest
        make_dirs(folder)
        write_atomic(folder / PLAN, plan)
        digest = hashlib.sha256(plan).hexdigest()
        card = {"schema_version": 1, "variant": variant, "key": asdict(key)}
        card |= {"size": len(plan), "sha256": digest}
        write_atomic(folder / CARD, canonical_json(card))
        return folder / PLAN

    def room(self, key: EngineKey, variant: str) -> Path:
        """A folder for a runtime that keeps its engines itself; raises `StorageError`."""
        folder = self.root / key.digest
        card = {"schema_version": 1, "variant": variant, "key": asdict(key)}
        make_dirs(folder)
        if not (folder / CARD).exists():
            write_atomic(folder / CARD, canonical_json(card))
        return folder

    @property
    def timing_cache(self) -> bytes:
        """What the last build measured on this device; empty before the first."""
        try:
            return (self.root / TIMING).read_bytes()
        except OSError:
            return b""

    def keep_timings(self, data: bytes) -> None:
        """Keep what a build measured."""
        if data:
            make_dirs(self.root)
            write_atomic(self.root / TIMING, data)
