"""Looking at the agent through its health file, for the trial and before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge_agent.config import Config, Model
from edge_agent.health import Health, ModelHealth
from edge_agent.slots import Slot
from registry_sync.device.clock import Moment
from registry_sync.device.evidence import Evidence, summarize
from registry_sync.device.trial import Observation, Verdict, judge
from registry_sync.rollout import Gate

STALE_WINDOWS = 3


class Watch:
    """One model's health, with an age that does not trust the wall clock.

    Args:
        config: where the health file is and how long a window lasts.
        model: whose health.
        moment: the clock.
    """

    def __init__(self, config: Config, model: Model, moment: Callable[[], Moment]) -> None:
        self._path = config.layout.health
        self._model = model
        self._moment = moment
        self._slow_s = STALE_WINDOWS * config.metrics.window_s
        self._file: tuple[int, ...] = ()
        self._health: Health | None = None
        self._seen: tuple[str, float] | None = None
        self._changed_at = 0.0
        self._looked_at = 0.0
        self._trial: tuple[float, float] | None = None

    def alive(self) -> bool:
        """Whether the agent wrote its health file lately."""
        _, age = self._read()
        return age is not None and age <= max(Gate().stale_s, self._slow_s)

    def incumbent(self, release: str) -> dict[str, Any]:
        """What the release in use showed lately, for the journal."""
        mine, _ = self._read()
        return summarize(mine.windows if mine else (), release).to_document()

    def judge(self, slot: Slot) -> Verdict:
        """The verdict on the release that is on trial in ``slot``."""
        gate = self._gate(slot)
        mine, age = self._read()
        candidate = summarize(mine.windows if mine else (), slot.candidate)
        return judge(
            gate,
            Observation(
                candidate=candidate,
                incumbent=Evidence.from_document(slot.data.get("incumbent", {})),
                starts=slot.starts,
                elapsed_s=self._elapsed(slot),
                health_age_s=age,
                watched_s=self._watched(slot),
                stopped=mine is not None and mine.state == "stopped",
                error=mine.error if mine and mine.failed in ("", slot.candidate) else "",
                provider_wanted=self._model.fallback == "refuse",
            ),
        )

    def _gate(self, slot: Slot) -> Gate:
        gate = Gate(**slot.data.get("gate", {}))
        if gate.stale_s >= self._slow_s:
            return gate
        return Gate(**{**slot.data.get("gate", {}), "stale_s": self._slow_s})

    def _elapsed(self, slot: Slot) -> float:
        """Seconds since the switch; since the first look when a reboot lies between."""
        now = self._moment()
        since_switch = now.since(slot.data.get("switched", {}))
        if since_switch is not None:
            return since_switch
        return self._watched(slot)

    def _watched(self, slot: Slot) -> float:
        """Seconds since this process first looked at the trial."""
        now = self._moment().boottime
        if self._trial is None or self._trial[0] != slot.since:
            self._trial = (slot.since, now)
        return now - self._trial[1]

    def _load(self) -> Health | None:
        """The health file, parsed only when it is another one than before."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        file = (found.st_ino, found.st_mtime_ns, found.st_size)
        if file != self._file:
            self._file, self._health = file, Health.read(self._path)
        return self._health

    def _read(self) -> tuple[ModelHealth | None, float | None]:
        """This model's health and the file's age in seconds, None when there is no file.

        The age is counted from when the file was seen to change: a change cannot be older than the
        look before. Only a file found at the first look is as old as its own wall-clock time says.
        """
        health = self._load()
        if health is None:
            return None, None
        now = self._moment()
        if self._seen != (health.boot, health.at):
            age = max(0.0, now.wall - health.at)
            if self._seen is not None:
                age = min(age, now.boottime - self._looked_at)
            self._seen, self._changed_at = (health.boot, health.at), now.boottime - age
        self._looked_at = now.boottime
        return health.models.get(self._model.name), now.boottime - self._changed_at
