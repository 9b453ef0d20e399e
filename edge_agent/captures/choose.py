"""Whether a frame is worth keeping: rules on the verdict and the scores, no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from edge_agent.captures.baseline import Baseline
from edge_agent.captures.rare import RareClasses
from edge_agent.captures.reasons import BASELINE, CHECK, RARE, UNCERTAIN, Evidence, Why

if TYPE_CHECKING:
    from edge_agent.config import Capture
    from edge_agent.detection.decode import Floats, Limit
    from edge_agent.gate import Verdict


class Chooser:
    """The rules for one camera, with what they remember from frame to frame.

    Args:
        settings: the ``[capture]`` section.
        seed: of the random moments.
        start_s: monotonic seconds.
    """

    def __init__(self, settings: Capture, seed: str, start_s: float) -> None:
        reasons = settings.reasons
        self._check = CHECK in reasons
        self._near = settings.near if UNCERTAIN in reasons else None
        self._rare_share = settings.rare_share if RARE in reasons else 0.0
        self._history = settings.rare_history
        self._rare: RareClasses | None = None
        self._release = ""
        self._baseline = None
        if BASELINE in reasons and settings.baseline_per_hour > 0:
            self._baseline = Baseline(settings.baseline_per_hour, seed, start_s)

    def choose(
        self,
        verdict: Verdict | None,
        detections: Floats | None,
        *,
        limit: Limit,
        classes: Sequence[str],
        release: str,
        now_s: float,
    ) -> list[Why]:
        """Every reason to keep this frame, in the order of `REASONS`; most frames have none.

        Args:
            verdict: the gate's, None without a gate.
            detections: (n, 6) float32 down to the floor, best first; None when there was no
                inference.
            limit: the score above which boxes are reported, of all classes or of each one's own.
            classes: names by id.
            release: digest; the history of rare classes begins anew with another one.
            now_s: monotonic seconds.
        """
        whys = []
        if self._baseline is not None and self._baseline.due(now_s):
            whys.append(Why(BASELINE, "at random"))
        if verdict is not None and not verdict.passed:
            # What the model says of such a frame is no evidence about the model.
            if self._check:
                whys.append(failed_check(verdict))
        elif detections is not None:
            beyond = detections[:, 4] - limits(detections, limit)
            if self._rare_share:
                whys += self._rare_classes(detections[beyond > 0, 5], classes, release)
            if self._near is not None:
                whys += uncertain(detections, beyond, self._near, classes)
        return whys

    def _rare_classes(self, reported: Floats, classes: Sequence[str], release: str) -> list[Why]:
        if self._rare is None or release != self._release:
            self._rare = RareClasses(len(classes), self._history, self._rare_share)
            self._release = release
        history = self._rare
        rare = history.update(map(int, set(reported.tolist())))
        if not rare:
            return []
        rarest = min(rare, key=history.share)
        share, frames = history.share(rarest), history.frames
        text = f"{classes[rarest]} is in {share * 100:.2g} % of the last {frames} frames"
        evidence: Evidence = {"class": classes[rarest], "share": share, "frames": frames}
        return [Why(RARE, text, evidence)]


def limits(detections: Floats, limit: Limit) -> Limit:
    """The limit of each of (n, 6) detections; one number where it is the same for all."""
    return limit if isinstance(limit, float) else limit[detections[:, 5].astype(np.intp)]


def uncertain(detections: Floats, beyond: Floats, near: float, classes: Sequence[str]) -> list[Why]:
    """A score nearer to its limit than ``near`` is a box that could as well be none.

    Args:
        detections: (n, 6) float32.
        beyond: (n,) float32, how far each score is above its limit.
        near: distance of scores, exclusive.
        classes: names by id.
    """
    distance = np.abs(beyond)
    boxes = int(np.count_nonzero(distance < near))
    if not boxes:
        return []
    nearest = int(np.argmin(distance))
    score, name = float(detections[nearest, 4]), classes[int(detections[nearest, 5])]
    limit = round(score - float(beyond[nearest]), 4)
    evidence: Evidence = {
        "class": name,
        "score": round(score, 6),
        "threshold": limit,
        "boxes": boxes,
    }
    return [Why(UNCERTAIN, f"{name} {score:.2f}, the threshold is {limit:.2f}", evidence)]


def failed_check(verdict: Verdict) -> Why:
    """The input check's own words, and the names of the checks that failed where it has several."""
    failed = [
        check.name
        for check in getattr(verdict, "checks", ())
        if check.failed and check.action != "pass"
    ]
    evidence: Evidence = {"checks": ", ".join(failed)} if failed else {}
    return Why(CHECK, verdict.text, evidence)
