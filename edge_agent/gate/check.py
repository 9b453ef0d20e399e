"""The gate: each frame against what is usual for its camera, and a verdict in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from edge_agent.config.gate import CHECKS
from edge_agent.detection.preprocess import Image
from edge_agent.gate.baseline import Baseline
from edge_agent.gate.candidates import Calibrated, Candidate, Found, Judged, Plain, thumbnail
from edge_agent.gate.measures import Range
from edge_agent.gate.schema import Rate, other_size, unusable
from edge_agent.gate.standard import Still
from edge_agent.gate.statistics import measure
from edge_agent.gate.verdict import CheckScore, Verdict, telling
from edge_agent.gate.view import View, look, reduce
from edge_agent.monitors.histogram import quantile
from edge_agent.monitors.profile import Profile

# The threshold lies this many (median - low quantile) spreads below the low quantile.
LOW_QUANTILE = 0.01
MARGIN_SPREADS = 1.0
LEAST_MARGIN = 0.02
LEAST_COUNTED = 20

_HOPELESS = 10.0
_NOTHING = Judged("", None, {})


class Gate:
    """Checks the frames of one camera, in their order. One instance per camera and thread.

    Without a baseline it knows the bundle's reference only: SSIM is judged by ``ssim_min``, and a
    picture that repeats itself is noticed. With one (`Gate.calibrated`) every check is made.

    Args:
        reference: (H, W, 3) BGR uint8 picture of the good view, or None: then all pictures pass.
        width: in pixels, to which reference and frames are reduced (INTER_AREA).
        ssim_min: least SSIM that passes; None passes all and still measures.
        ssim_usual: what SSIM is on good frames, where that is known.
        reason: why ``ssim_min`` is None, for the verdict's text.
        actions: check -> ``skip``, ``flag`` or ``pass``; ``skip`` where it is not named.

    Attributes:
        views: name of a reference that was learnt -> the view; empty without a baseline.
    """

    def __init__(
        self,
        reference: Image | None,
        *,
        width: int = 160,
        ssim_min: float | None = None,
        ssim_usual: float | None = None,
        reason: str = "no threshold is known",
        actions: Mapping[str, str] | None = None,
    ) -> None:
        self.width = width
        self.ssim_min = ssim_min
        self.size: tuple[int, int] | None = None
        self.views: Mapping[str, Still] = {}
        reason = "there is no reference picture" if reference is None else reason
        self._note = reason if reference is None or ssim_min is None else ""
        gray = None if reference is None else reduce(reference, width)
        limits = _limits(ssim_min, ssim_usual)
        learnt = limits is not None and limits.usual == ssim_usual
        self._candidates: list[Candidate] = [Plain(gray, limits, learnt=learnt)]
        self._actions = dict.fromkeys(CHECKS, "skip") | dict(actions or {})
        self._failing: set[str] = set()
        self._rate: Rate | None = None

    @classmethod
    def calibrated(
        cls,
        baseline: Baseline,
        *,
        ssim_min: float | None = None,
        actions: Mapping[str, str] | None = None,
    ) -> Gate:
        """The gate of a camera that was calibrated; ``ssim_min`` overrides what was learnt."""
        gate = cls(None, width=baseline.width, actions=actions)
        gate.ssim_min = baseline.ssim_min if ssim_min is None else ssim_min
        gate.size = baseline.size
        gate._note = ""
        gate._candidates = [
            Calibrated(one.name, one.learnt, baseline.size[0], ssim_min)
            for one in baseline.references
        ]
        gate.views = {one.name: one.learnt.still for one in baseline.references}
        gate._rate = Rate(baseline.fps) if baseline.fps is not None else None
        return gate

    def check(
        self, image: Image, *, seq: int = 0, at: float | None = None, only: str = ""
    ) -> Verdict:
        """Judge the next (H, W, 3) BGR uint8 picture; anything else is a verdict of its own.

        Args:
            image: the picture.
            seq: its number at the source.
            at: when it was captured, in seconds; None leaves the rate unchecked.
            only: name of the one reference to compare with; all are asked when it is "" or not one
                of `views`.
        """
        trouble = unusable(image)
        if trouble:
            checks = self._scored({"schema": Found(_HOPELESS, lambda: trouble)})
            return Verdict(False, None, None, trouble, checks)
        view = look(image, self.width)
        found = self._schema(view, seq, at)
        judged = self._best(view, only) if self._comparable(found) else _NOTHING
        checks = self._scored({**found, **judged.found})
        failed = telling(checks)
        text = _failed(failed) if failed else self._text(judged.ssim)
        return Verdict(
            not failed, judged.ssim, measure(view.gray, view.colour), text, checks, judged.name
        )

    def _schema(self, view: View, seq: int, at: float | None) -> dict[str, Found]:
        found = {}
        if self.size is not None:
            wrong = other_size(view.size, self.size)
            found["schema"] = Found(_HOPELESS if wrong else 0.0, lambda: wrong)
        if self._rate is not None and at is not None:
            rate, fps = self._rate, self._rate.fps(seq, at)
            if fps is not None:
                found["rate"] = Found(rate.score(fps), lambda: rate.text(fps))
        return found

    def _comparable(self, found: Mapping[str, Found]) -> bool:
        """Whether the picture has the usual size; of another one nothing else can be said."""
        wrong = "schema" in found and found["schema"].score >= 1.0
        return not wrong or self._actions["schema"] == "pass"

    def _best(self, view: View, only: str) -> Judged:
        """What the reference says that fits best; others are asked only if the nearest fails."""
        order = self._candidates
        if only in self.views:
            order = [one for one in order if one.name == only]
        if len(order) > 1:
            thumb = thumbnail(view.gray)
            order = sorted(order, key=lambda one: one.distance(thumb))
        best = order[0].judge(view)
        for one in order[1:]:
            if best.worst < 1.0:
                break
            judged = one.judge(view)
            best = judged if judged.worst < best.worst else best
        return best

    def _scored(self, found: Mapping[str, Found]) -> tuple[CheckScore, ...]:
        checks = []
        for name in CHECKS:
            if name not in found:
                continue
            score, words, leave = found[name]
            failed = score >= (leave if name in self._failing else 1.0)
            if failed:
                self._failing.add(name)
            else:
                self._failing.discard(name)
            text = words() if failed else ""
            checks.append(CheckScore(name, score, failed, self._actions[name], text))
        return tuple(checks)

    def _text(self, ssim: float | None) -> str:
        if ssim is None:
            return f"not checked: {self._note}"
        return f"SSIM {ssim:.2f}, not judged: {self._note}" if self._note else f"SSIM {ssim:.2f}"


def _failed(failed: Sequence[CheckScore]) -> str:
    """The first failed check in words, the others by name."""
    more = ", ".join(check.name for check in failed[1:])
    return failed[0].text + (f" (and: {more})" if more else "")


def _limits(least: float | None, usual: float | None) -> Range | None:
    """The range of SSIM; a limit that a person set above what is usual stands for itself."""
    if least is None:
        return None
    return Range(1.0 if usual is None or usual <= least else usual, least)


def ssim_from_profile(profile: Profile | None) -> Range | None:
    """SSIM's usual value and least that passes, from the validation images' SSIM.

    The limit is ``q01 - max(0.02, q50 - q01)``: one spread below the first percentile. On a line
    where the good pictures resemble each other the threshold is tight, where they vary it is wide,
    and a clean picture as far out as twice the lower spread still passes.

    Returns:
        None when there is no profile or it counted fewer than 20 SSIM values.
    """
    if profile is None:
        return None
    counts = profile.histograms.counts["ssim"]
    if counts.sum() < LEAST_COUNTED:
        return None
    low, middle = (quantile(counts, "ssim", q) for q in (LOW_QUANTILE, 0.5))
    margin = max(LEAST_MARGIN, MARGIN_SPREADS * (middle - low))
    return Range(middle, math.floor(max(low - margin, 0.0) * 1e4) / 1e4)
