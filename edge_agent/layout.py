"""Where things lie below ``<data>`` and ``<run>``: the one place that knows the paths."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Layout:
    """The device's folders (docs/formats.md)."""

    data: Path
    run: Path

    @property
    def journal(self) -> Path:
        """Slot state, intents, bans, audit."""
        return self.data / "journal.sqlite"

    @property
    def outbox(self) -> Path:
        """Telemetry not yet acknowledged by the broker."""
        return self.data / "outbox.sqlite"

    @property
    def starts(self) -> Path:
        """How often the agent was started here."""
        return self.data / "starts.json"

    @property
    def feedback(self) -> Path:
        """What inspectors said, and the last frames' detections."""
        return self.data / "feedback.sqlite"

    @property
    def captures(self) -> Path:
        """Frames that were kept for relabelling."""
        return self.data / "captures"

    @property
    def alerts(self) -> Path:
        """The alerts that stand, and what they must remember."""
        return self.data / "alerts.json"

    @property
    def store(self) -> Path:
        """Blobs by their SHA-256."""
        return self.data / "store" / "sha256"

    @property
    def trust(self) -> Path:
        """TUF metadata of the release repository."""
        return self.data / "tuf"

    def slices(self, model: str, digest: str) -> Path:
        """What a release reported in the last day, by camera and shift."""
        return self.data / "slices" / model / f"{digest[:16]}.json"

    def baseline(self, camera: str) -> Path:
        """What commissioning taught of one camera."""
        return self.data / "baseline" / camera

    @property
    def health(self) -> Path:
        """The agent's last windows."""
        return self.run / "health.json"

    @property
    def look_now(self) -> Path:
        """Replaced when the updater should look at the repository now."""
        return self.run / "look-now"

    @property
    def commands(self) -> Path:
        """Ids of the commands that were obeyed."""
        return self.data / "commands.json"

    @property
    def snapshots(self) -> Path:
        """Pictures that were asked for by command."""
        return self.data / "snapshots"

    @property
    def updater_lock(self) -> Path:
        """Held by the one updater of this data folder."""
        return self.data / "updater.lock"

    def model(self, name: str) -> Path:
        """Everything of one model."""
        return self.data / "models" / name

    def release(self, name: str, digest: str) -> Path:
        """The bundle of one release."""
        return self.model(name) / "releases" / digest

    def current(self, name: str) -> Path:
        """The link to the release that runs."""
        return self.model(name) / "current"

    def linked(self, name: str) -> str:
        """The digest that ``current`` points at; "" when there is none or it is not a release."""
        try:
            target = os.readlink(self.current(name))
        except OSError:
            return ""
        digest = Path(target).name
        return digest if _DIGEST.fullmatch(digest) else ""
