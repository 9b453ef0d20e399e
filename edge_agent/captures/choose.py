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
    from edge_agent.detection.decode import Floats
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
        confidence: float,
        classes: Sequence[str],
        release: str,
        now_s: float,
    ) -> list[Why]:
        """Every reason to keep this frame, in the order of `REASONS`; most frames have none.

        Args:
            verdict: the gate's, None without a gate.
            detections: (n, 6) float32 down to the floor, best first; None when there was no
                inference.
            confidence: the score above which boxes are reported.
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
            if self._rare_share:
                whys += self._rare_classes(detections, confidence, classes, release)
            if self._near is not None:
                whys += uncertain(detections, confidence, self._near, classes)
        return whys

    def _rare_classes(
        self, detections: Floats, confidence: float, classes: Sequence[str], release: str
    ) -> list[Why]:
        if self._rare is None or release != self._release:
            self._rare = RareClasses(len(classes), self._history, self._rare_share)
            self._release = release
        history = self._rare
        reported = int(np.count_nonzero(detections[:, 4] > confidence))
        found = set(detections[:reported, 5].tolist()) if reported else ()
        rare = history.update(map(int, found))
        if not rare:
            return []
        rarest = min(rare, key=history.share)
        share, frames = history.share(rarest), history.frames
        text = f"{classes[rarest]} is in {share * 100:.2g} % of the last {frames} frames"
        evidence: Evidence = {"class": classes[rarest], "share": share, "frames": frames}
        return [Why(RARE, text, evidence)]


def uncertain(
    detections: Floats, confidence: float, near: float, classes: Sequence[str]
) -> list[Why]:
    """A score nearer to the confidence than ``near`` is a box that could as well be none.

    Args:
        detections: (n, 6) float32, best first.
        confidence: the score above which boxes are reported.
        near: distance of scores, exclusive.
        classes: names by id.
    """
    scores = detections[:, 4]
    first = int(np.count_nonzero(scores >= confidence + near))
    last = int(np.count_nonzero(scores > confidence - near))
    if first == last:
        return []
    nearest = first + int(np.argmin(np.abs(scores[first:last] - confidence)))
    score, name = float(scores[nearest]), classes[int(detections[nearest, 5])]
    text = f"{name} {score:.2f}, the threshold is {confidence:.2f}"
    evidence: Evidence = {
        "class": name,
        "score": round(score, 6),
        "confidence": confidence,
        "boxes": last - first,
    }
    return [Why(UNCERTAIN, text, evidence)]


def failed_check(verdict: Verdict) -> Why:
    """The input check's own words, and the names of the checks that failed where it has several."""
    failed = [check.name for check in getattr(verdict, "checks", ()) if not check.passed]
    evidence: Evidence = {"checks": ", ".join(failed)} if failed else {}
    return Why(CHECK, verdict.text, evidence)
