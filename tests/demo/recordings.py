"""A recording as the demo's broker would give it: for tests of the facts and of the page."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field

from deploy.demo.recorder import Recording

DEVICE = "line-1-cam-1"


@dataclass
class Script:
    """Builds a recording message by message, with the envelope that devices put on."""

    recording: Recording = field(default_factory=Recording)
    seq: int = 0

    def say(self, t: float, suffix: str, running: int = 1, **fields: object) -> None:
        """One payload at ``t`` seconds."""
        self.seq += 1
        wall = self.recording.started_wall + t
        payload = {"v": 1, "ts": wall, "boot": "b1", "seq": self.seq, "model_version": running}
        data = json.dumps({**payload, **fields}).encode()
        assert self.recording.add(f"outpost/v1/{DEVICE}/{suffix}", data, retained=False)

    def step(self, t: float, version: int, origin: str, target: str, reason: str) -> None:
        """One transition event."""
        fields = {"from": origin, "to": target, "model": "defects", "version": version}
        at = self.recording.started_wall + t
        self.say(t, "up/events", kind="transition", reason=reason, at=at, **fields)

    def event(self, t: float, kind: str, text: str, **fields: str) -> None:
        """One event of another kind."""
        self.say(t, "up/events", kind=kind, severity="warning", text=text, **fields)


def story() -> Recording:
    """Two good versions, a refused one, one rolled back, a dirty lens, and back to the first."""
    script = Script()
    steps = [
        (12.0, 1, "TRIAL", "COMMITTED", "healthy for 8 s on 80 frames"),
        (38.0, 2, "SWITCHING", "TRIAL", "self-test passed"),
        (47.0, 2, "TRIAL", "COMMITTED", "healthy for 8 s on 81 frames"),
        (60.0, 3, "VERIFIED", "FAILED", "self-test: 12 of 12 frames gave NaN or Inf"),
        (72.0, 4, "SWITCHING", "TRIAL", "self-test passed"),
        (78.0, 4, "TRIAL", "ROLLING_BACK", "6.1 times the detections per frame of v2"),
        (79.0, 4, "ROLLING_BACK", "ROLLED_BACK", "back on v2; v4 banned"),
        (128.0, 1, "TRIAL", "COMMITTED", "healthy for 8 s on 79 frames"),
    ]
    for step in steps:
        script.step(*step)
    script.event(90.0, "gate.rejecting", "cam-1: SSIM 0.31 is below 0.55: clean the lens")
    script.event(106.0, "gate.cleared", "cam-1: the input is fit to judge again")
    for second in range(4, 134):
        version = 1 if second < 38 or second > 119 else 4 if 72 <= second < 79 else 2
        rejecting = 90 <= second <= 106
        wave = math.sin(second / 3)
        skipped = 10 * max(0, min(second, 106) - 90)
        script.say(
            second, "up/metrics/system", version, latency_p50_ms=7.5 + 0.4 * wave,
            latency_p95_ms=11 + wave, frames_captured_total=10 * second, swaps_total=5,
            frames_inferred_total=10 * second - skipped, frames_skipped_total=skipped,
            frames_dropped_total=0, frames_dropped_during_swap_total=0,
        )  # fmt: skip
        ssim = 0.33 if rejecting else 0.78 + 0.02 * wave
        script.say(second, "up/metrics/input", version, ssim_p50=ssim, ssim_min=ssim - 0.02)
        if second % 10 == 0:
            psi = 2.4 if version == 4 else 0.08
            script.say(second, "up/metrics/output", version, psi_score=psi, psi_class=psi / 2,
                       psi_limit_score=0.9, psi_limit_class=0.8)  # fmt: skip
    return script.recording
