"""What triage needs to know of one model, gathered window by window."""

from __future__ import annotations

import statistics
from collections import Counter, deque
from collections.abc import Mapping, Sequence

from edge_agent.loop.golden import Outcome
from edge_agent.loop.loaded import Loaded
from edge_agent.monitors.windows import WindowReport
from edge_agent.triage import Signs

USUAL_WINDOWS, RECENT_WINDOWS = 5, 3


class Gatherer:
    """Counts what speaks for which cause; a new release begins anew.

    Attributes:
        since: monotonic seconds at which the present trouble with the outputs was first seen; None
            while there is none. A self-test that is older says nothing of it.
    """

    def __init__(self) -> None:
        self._begin("", was_calm=False)

    def _begin(self, digest: str, *, was_calm: bool) -> None:
        self.since: float | None = None
        self._digest = digest
        self._verdicts = 0
        self._was_calm = was_calm
        self._drifted: tuple[str, ...] = ()
        self._fresh = False
        self._inferred = self._nonfinite = 0
        self._usual: list[float] = []
        self._recent: deque[float] = deque(maxlen=RECENT_WINDOWS)
        self._last: dict[str, float] = {}
        self._block: dict[str, Counter[str]] = {}
        self._judged: dict[str, float] = {}

    def window(
        self, loaded: Loaded, report: WindowReport, drifted: tuple[str, ...] | None, now: float
    ) -> bool:
        """Add one window; whether trouble with the outputs began in it.

        Args:
            loaded: the release that made it.
            report: the window.
            drifted: what drifts after a verdict in it; None when there was none.
            now: monotonic seconds.
        """
        if loaded.digest != self._digest:
            self._begin(loaded.digest, was_calm=self._verdicts > 0 and not self._drifted)
        self._count(report)
        if drifted is not None:
            self._judge(drifted)
        trouble = bool(self._nonfinite or self._drifted)
        began = trouble and self.since is None
        self.since = (self.since if self.since is not None else now) if trouble else None
        return began

    def signs(
        self, selftest: Outcome | None, provider_ok: bool, cameras_down: Sequence[str]
    ) -> Signs:
        """All of it at this moment."""
        answer, text = "", ""
        if selftest is not None and (not selftest.ok or selftest.at >= (self.since or 0.0)):
            answer, text = ("passed", "") if selftest.ok else ("failed", selftest.failures[0])
        ratio = None
        if len(self._usual) == USUAL_WINDOWS and len(self._recent) == RECENT_WINDOWS:
            ratio = statistics.median(self._recent) / max(statistics.median(self._usual), 1e-3)
        return Signs(
            selftest=answer,
            selftest_text=text,
            provider_ok=provider_ok,
            inferred=self._inferred,
            nonfinite=self._nonfinite,
            latency_ratio=ratio,
            cameras_down=tuple(cameras_down),
            rejected=tuple(sorted(self._rejected().items())),
            drifted=self._drifted,
            fresh_release=self._fresh,
        )

    def of_camera(self, camera: str, *, down: bool) -> Signs:
        """What speaks of one camera alone."""
        share = self._rejected().get(camera)
        rejected = () if share is None else ((camera, share),)
        return Signs(cameras_down=(camera,) if down else (), rejected=rejected)

    def _count(self, report: WindowReport) -> None:
        self._inferred, self._nonfinite = report.inferred, report.nonfinite
        if report.inferred:
            self._recent.append(report.latency.quantile(0.5))
            if len(self._usual) < USUAL_WINDOWS:
                self._usual.append(self._recent[-1])
        self._last = {}
        for name, tally in report.cameras.items():
            counted = self._block.setdefault(name, Counter())
            counted["seen"] += tally.seen
            counted["rejected"] += tally.rejected
            if tally.seen:
                self._last[name] = tally.rejected / tally.seen

    def _judge(self, drifted: tuple[str, ...]) -> None:
        self._drifted = drifted
        if not self._verdicts:
            self._fresh = bool(drifted) and self._was_calm
        self._verdicts += 1
        self._judged = {
            name: counted["rejected"] / counted["seen"]
            for name, counted in self._block.items()
            if counted["seen"]
        }
        self._block = {}

    def _rejected(self) -> Mapping[str, float]:
        """Of the present window, and where outputs differ of those that the verdict is about."""
        if not self._drifted:
            return self._last
        names = self._last.keys() | self._judged.keys()
        return {n: max(self._last.get(n, 0.0), self._judged.get(n, 0.0)) for n in names}
