"""The story that the demo plays and checks, chapter by chapter."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deploy.demo import facts
from deploy.demo.bad_versions import derive
from deploy.demo.facts import Check, Transition
from deploy.demo.recorder import Recording
from deploy.demo.registry import ALIAS, MODEL
from deploy.demo.stage import GROUP, Stage
from edge_agent.errors import OutpostError

MODELS = Path(__file__).parent / "models"
# How long a trial lasts and how much it must have seen; a site takes minutes, not seconds.
TRIAL = ("--gate", "trial_s=8", "--gate", "min_frames=40", "--gate", "deadline_s=60")
STEP_TIMEOUT_S = 90.0
FAULT_TIMEOUT_S = 60.0

Tell = Callable[[str], None]


class Story:
    """Plays the chapters on a stage and collects what was claimed."""

    def __init__(self, stage: Stage, tell: Tell) -> None:
        """``tell`` receives one line at a time for the person who watches."""
        self.stage = stage
        self.checks: list[Check] = []
        self._tell = tell

    def first_release(self) -> None:
        """A promoted version becomes a bundle, a release, a rollout; the device installs it."""
        self._promote(MODELS / "defects-v1.pt", "first good version")
        self._release(1)
        self.stage.start_device()
        self._wait("COMMITTED", 1)
        self.check("v1 went from the registry to the device and was committed", self._was(1))
        tags = self.registry_tags(1)
        self.check("publishing wrote the digest onto the MLflow version", "outpost.digest" in tags)

    def better_release(self) -> None:
        """A second version is rolled out while frames flow."""
        self._promote(MODELS / "defects-v2.pt", "second good version, better on the test split")
        self._release(2)
        self._wait("COMMITTED", 2)
        self.check("v2 replaced v1 while frames flowed, and was committed", self._was(2))

    def broken_release(self) -> None:
        """NaN in the weights: the builder refuses it; forced through, the device does."""
        self._promote(self._bad("nan"), "broken: NaN in the weights")
        said = self.stage.call("edge-builder", *self._build(3), expect=5)
        self._tell(f"the builder refuses it: {said.strip().splitlines()[-1]}")
        self.check("the builder refuses NaN weights unless it is forced", "finite" in said)
        self._tell("forced through, to see what a device does")
        self._release(3, "--allow-nonfinite")
        self._wait("FAILED", 3)
        live = facts.reached(self._steps(), 3, "SWITCHING")
        self.check("v3 was refused by the self-test on the device and never went live", not live)

    def misbehaving_release(self) -> None:
        """Right on the golden set, wrong on live frames: the trial rolls it back and bans it."""
        self._promote(self._bad("oversensitive"), "over-sensitive on live frames")
        self._release(4)
        self._wait("TRIAL", 4)
        self._tell("the self-test passed; it is live, on trial")
        self._wait("ROLLED_BACK", 4)
        self.check("v4 passed the self-test and went live on trial", self._was(4, "TRIAL"))
        self.check("v4 misbehaved on live frames and was rolled back", self._was(4, "ROLLED_BACK"))
        banned = [item["version"] for item in self._status()["banned"]]
        self.check("v4 is banned on this device; v3 too", {3, 4} <= set(banned))
        self.check("v2 runs again", self._current() == 2)

    def dirty_lens(self) -> None:
        """A dirty lens is an input problem: reported as such, nothing is rolled back."""
        before = len(self._steps())
        self.stage.show_clip("faults.mp4")
        self._until(lambda r: bool(r.events("gate.rejecting")), FAULT_TIMEOUT_S, "the input alarm")
        alarm = self.recording.events("gate.rejecting")[0].payload
        self._tell(str(alarm["text"]))
        cleared = self._until(
            lambda r: bool(r.events("gate.cleared")), FAULT_TIMEOUT_S, "the lens to be wiped"
        )
        self.check(
            "the dirty lens was reported as an input problem, and as over when wiped", cleared
        )
        self.check("the dirty lens rolled nothing back", len(self._steps()) == before)
        self.stage.show_clip("clip.mp4")

    def rollback_by_hand(self) -> None:
        """The operator wants v1 back: one command, one signed document."""
        self.stage.call(
            "registry-sync", "rollback", "--group", GROUP, "--to", "1",
            "--repo", self.stage.repo, "--keys", self.stage.keys, *TRIAL,
        )  # fmt: skip
        committed = len([s for s in self._steps() if (s.version, s.target) == (1, "COMMITTED")])
        self._until(
            lambda _: (
                len([s for s in self._steps() if (s.version, s.target) == (1, "COMMITTED")])
                > committed
            ),
            STEP_TIMEOUT_S,
            "v1 to be committed again",
        )
        self.check("the operator's rollback brought v1 back", self._current() == 1)

    def ending(self) -> dict[str, Any]:
        """The last claims; returns the device's final state for report.json."""
        counts = facts.frames(self.recording)
        self.check("no frame was dropped during a swap", counts["dropped_during_swaps"] == 0)
        self.check("the models were swapped four times or more", counts["swaps"] >= 4)
        status = self._status()
        return {"current_version": self._current(), "banned": status["banned"]}

    def check(self, text: str, ok: bool) -> None:
        """Claim something."""
        self.checks.append(Check(text, ok))
        if not ok:
            self._tell(f"NOT SO: {text}")

    @property
    def recording(self) -> Recording:
        """What came over the broker so far."""
        assert self.stage.recorder is not None
        return self.stage.recorder.recording

    def registry_tags(self, version: int) -> dict[str, str]:
        """What publishing wrote onto an MLflow version."""
        assert self.stage.registry is not None
        return self.stage.registry.tags(version)

    def bundle(self, version: int) -> Path:
        """Where the bundle of a version is built."""
        return self.stage.out / "bundles" / f"defects-{version}"

    def _promote(self, checkpoint: Path, note: str) -> None:
        assert self.stage.registry is not None
        version = self.stage.registry.promote(checkpoint, note)
        self._tell(f"MLflow: {MODEL} version {version} promoted ({note})")

    def _bad(self, kind: str) -> Path:
        path = self.stage.out / "checkpoints" / f"{kind}.pt"
        path.parent.mkdir(exist_ok=True)
        derive(kind, MODELS / "defects-v2.pt", path)
        return path

    def _build(self, version: int, *options: str) -> tuple[str | Path, ...]:
        assert self.stage.registry is not None
        images = self.stage.line / "dataset" / "images" / "val"
        return (
            "build", f"models:/{MODEL}@{ALIAS}", "-o", self.bundle(version),
            "--tracking-uri", self.stage.registry.uri, "--reference-data", images,
            "--reference-image", self.stage.line / "reference.png", *options,
        )  # fmt: skip

    def _release(self, version: int, *options: str) -> None:
        assert self.stage.registry is not None
        keys = ("--repo", self.stage.repo, "--keys", self.stage.keys)
        started = time.monotonic()
        self.stage.call("edge-builder", *self._build(version, *options))
        self._tell(f"bundle built and proven in {time.monotonic() - started:.1f} s")
        uri = ("--tracking-uri", self.stage.registry.uri)
        self.stage.call("edge-builder", "publish", self.bundle(version), *keys, *uri)
        self.stage.call(
            "registry-sync",
            "rollout",
            "start",
            MODEL,
            str(version),
            "--group",
            GROUP,
            *keys,
            *TRIAL,
        )
        self._tell(f"release {MODEL}/{version} published, rollout to {GROUP} signed")

    def _steps(self) -> list[Transition]:
        return facts.transitions(self.recording)

    def _was(self, version: int, target: str = "COMMITTED") -> bool:
        return facts.reached(self._steps(), version, target)

    def _wait(self, target: str, version: int) -> None:
        what = f"v{version} to be {target}"
        self._until(lambda _: self._was(version, target), STEP_TIMEOUT_S, what)
        step = [s for s in self._steps() if (s.version, s.target) == (version, target)][-1]
        self._tell(f"device: v{version} {target}: {step.reason}")

    def _until(self, wanted: Callable[[Recording], bool], timeout_s: float, what: str) -> bool:
        assert self.stage.recorder is not None
        if not self.stage.recorder.wait_for(wanted, timeout_s):
            raise OutpostError(
                f"waited {timeout_s:.0f} s for {what} in vain; see {self.stage.out / 'logs'}"
            )
        return True

    def _status(self) -> dict[str, Any]:
        said = self.stage.call("registry-sync", "status", "-c", self.stage.config, "--json")
        status: dict[str, Any] = json.loads(said)
        return status

    def _current(self) -> int:
        models = self._status()["models"]
        return int(models[0]["version"])
