"""Where windows become alerts, and alerts become events and actions."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from edge_agent.clerk import AtOnce, Disk
from edge_agent.errors import StorageError
from edge_agent.feedback.performance import READING
from edge_agent.metrics import ALERTS, Message, event
from edge_agent.policy.alerts import Alert, Track, clears, worst_first
from edge_agent.policy.expression import Readings, evaluate, names
from edge_agent.policy.memory import Key, Memory, Remembered
from edge_agent.policy.rules import REFERENCE, RETRAIN, ROLLBACK, STOP, Rule
from edge_agent.triage import CAMERA, ENGINE, RELEASE_CAUSES, Finding

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Subject:
    """A camera, a model or the device in one window.

    Attributes:
        kind: ``camera``, ``model`` or ``device``.
        name: its id, "" for the device.
        model: the model that it belongs to, "" for the device.
        version, release: of the release that serves, 0 and "" for none.
        readings: the metrics that were sent of it, of its model and of the device.
        finding: what triage says.
    """

    kind: str
    name: str
    model: str
    version: int
    release: str
    readings: Readings
    finding: Finding


class Hands(Protocol):
    """What does an action; returns at once and raises nothing."""

    def act(self, action: str, alert: Alert, subject: Subject) -> list[Message]:
        """Do it and tell."""
        ...

    def undo(self, action: str, alert: Alert) -> list[Message]:
        """The alert was cleared: take back what can be taken back."""
        ...


@dataclass(frozen=True)
class Clocks:
    """Seconds: monotonic for durations, wall-clock for what people read."""

    monotonic: Callable[[], float]
    wall: Callable[[], float]


class Desk:
    """All rules over all subjects; used from one thread.

    Args:
        rules: that are kept.
        kinds: rule's name -> the kind of its subjects.
        subjects: kind -> names that exist; alerts about others are cleared at the start.
        memory: where alerts survive a restart.
        hands: do what rules ask for.
        clocks: the time.
        disk: who goes to the memory while it runs.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        kinds: Mapping[str, str],
        subjects: Mapping[str, Sequence[str]],
        *,
        memory: Memory,
        hands: Hands,
        clocks: Clocks,
        disk: Disk | None = None,
    ) -> None:
        self._rules = {rule.name: rule for rule in rules}
        self._kinds = kinds
        self._subjects = subjects
        self._memory = memory
        self._hands = hands
        self._clocks = clocks
        self._disk = disk or AtOnce()
        self._notes: deque[tuple[int, str]] = deque()
        self._last = 0
        self._tracks: dict[Key, Track] = {}
        self._references: dict[tuple[str, str], str] = {}
        self._changed = False
        self._refused = ""

    @property
    def alerts(self) -> list[Alert]:
        """The active ones, the worst first, then the oldest."""
        return worst_first(t.alert for t in self._tracks.values() if t.alert is not None)

    @property
    def withheld(self) -> frozenset[tuple[str, str]]:
        """Kind and name of each subject whose detections are kept back."""
        return frozenset((a.kind, a.subject) for a in self.alerts if STOP in a.done)

    def reference_of(self, subjects: Collection[tuple[str, str]]) -> str:
        """To which reference the input check is switched for what belongs to these subjects.

        Args:
            subjects: kinds and names: a camera, and its model.

        Returns:
            What the newest standing alert wants, else what an earlier one left; "" for none.
        """
        newest = max(
            (a for a in self.alerts if REFERENCE in a.done and (a.kind, a.subject) in subjects),
            key=lambda alert: alert.number,
            default=None,
        )
        if newest is not None:
            return self._rules[newest.rule].reference
        return next((self._references[key] for key in subjects if key in self._references), "")

    def begin(self) -> list[Message]:
        """Take up the alerts of the process before; tell which of them stand."""
        remembered = self._memory.begin()
        self._last = remembered.last
        for key, at in remembered.cleared.items():
            self._tracks[key] = Track(cleared_at=at)
        messages = []
        for alert in remembered.alerts:
            track = Track(alert=alert)
            self._tracks[(alert.rule, alert.subject)] = track
            if not self._still_there(alert):
                messages += self._clear(track, alert, "the rule or what it was about is gone")
        wanted = {rule.reference for rule in self._rules.values() if rule.reference_stays}
        self._references = {
            (kind, name): reference
            for (kind, name), reference in remembered.references.items()
            if reference in wanted and name in self._subjects.get(kind, ())
        }
        return [*messages, *self._settle(always=True)]

    def window(self, subjects: Iterable[Subject]) -> list[Message]:
        """Look at one window of all subjects; what there is to tell."""
        messages = []
        for subject in subjects:
            for name, rule in self._rules.items():
                if self._kinds[name] == subject.kind:
                    messages += self._look(rule, subject)
        return messages + self._settle()

    def acknowledge(self, number: int, by: str) -> list[Message]:
        """Somebody took note of an alert; nothing when there is none of that number."""
        for key, track in self._tracks.items():
            alert = track.alert
            if alert is not None and alert.number == number and not alert.acknowledged_at:
                known = alert.acknowledge(by, self._clocks.wall())
                self._keep(key, replace(track, alert=known))
                text = f"{alert.rule}: acknowledged" + (f" by {by}" if by else "")
                told = _event("alert.acknowledged", "info", text, known, by=by)
                return [told, *self._settle()]
        return []

    def take_notes(self) -> list[Message]:
        """What `edge-agent alerts ack` left; what is read later comes with the next call."""
        self._disk.do("notes", self._read_notes)
        messages = []
        while self._notes:
            messages += self.acknowledge(*self._notes.popleft())
        return messages

    def _read_notes(self) -> None:
        """An errand."""
        self._notes.extend((n, by) for n, (by, _) in self._memory.take_notes().items())

    def _still_there(self, alert: Alert) -> bool:
        rule = alert.rule in self._rules and self._kinds[alert.rule] == alert.kind
        return rule and alert.subject in self._subjects[alert.kind]

    def _look(self, rule: Rule, subject: Subject) -> list[Message]:
        key = (rule.name, subject.name)
        holds = evaluate(rule.when.condition, subject.readings)
        other = evaluate(rule.clear_when, subject.readings) if rule.clear_when else None
        now, wall = self._clocks.monotonic(), self._clocks.wall()
        track = self._tracks.get(key, Track())
        track = track.look(rule, holds, clears(rule, holds, other), now)
        if track.alert is not None and holds is None and outlived(rule, track.alert, subject):
            return self._clear(
                track, track.alert, "another release serves, of which nobody spoke yet"
            )
        messages = []
        if track.due(rule, now, wall):
            track, raised = self._raise(rule, subject, track, wall)
            messages.append(raised)
        elif track.alert is not None and track.over(rule):
            return self._clear(track, track.alert, "it is over")
        elif track.alert is not None and not track.alert.cause and subject.finding.cause:
            track, found = self._explain(track, track.alert, subject)
            messages.append(found)
        self._tracks[key] = track
        if track.alert is not None:
            messages += self._act(rule, key, track, track.alert, subject)
        return messages

    def _raise(
        self, rule: Rule, subject: Subject, track: Track, wall: float
    ) -> tuple[Track, Message]:
        self._last += 1
        finding, metrics = subject.finding, names(rule.when.condition)
        seen = {name: subject.readings[name] for name in metrics if name in subject.readings}
        values = ", ".join(f"{name} is {value:g}" for name, value in seen.items())
        about = f"{subject.kind} {subject.name}: " if subject.name else ""
        alert = Alert(
            number=self._last,
            rule=rule.name,
            subject=subject.name,
            kind=subject.kind,
            severity=rule.severity,
            raised_at=round(wall, 3),
            cause=finding.cause,
            text=f"{about}{rule.when.text} ({values})",
            release=subject.release,
        )
        text = f"{rule.name}: {alert.text}" + (f"; {finding.text}" if finding.evidence else "")
        self._changed = True
        told = _event(
            "alert.raised", rule.severity, text, alert, evidence=list(finding.evidence), **seen
        )
        return replace(track, alert=alert, calm=0), told

    def _explain(self, track: Track, alert: Alert, subject: Subject) -> tuple[Track, Message]:
        """The cause was not known when it was raised, and is now."""
        known = replace(alert, cause=subject.finding.cause)
        self._changed = True
        told = _event(
            "alert.explained",
            alert.severity,
            f"{alert.rule}: {subject.finding.text}",
            known,
            evidence=list(subject.finding.evidence),
        )
        return replace(track, alert=known), told

    def _clear(self, track: Track, alert: Alert, why: str) -> list[Message]:
        wall = self._clocks.wall()
        self._keep((alert.rule, alert.subject), track.cleared(wall))
        seconds = max(0.0, round(wall - alert.raised_at, 1))
        about = f"{alert.kind} {alert.subject}: " if alert.subject else ""
        text = f"{alert.rule}: {about}{why}"
        told = [_event("alert.cleared", "info", text, alert, seconds=seconds)]
        return told + [m for action in alert.done for m in self._hands.undo(action, alert)]

    def _act(
        self, rule: Rule, key: Key, track: Track, alert: Alert, subject: Subject
    ) -> list[Message]:
        due = [a for a in rule.actions if a not in alert.done and may(a, alert, subject)]
        if any(ROLLBACK in a.done and a.release == alert.release for a in self.alerts):
            due = [action for action in due if action != ROLLBACK]  # it is asked for already
        messages = []
        for action in due:
            alert = replace(alert, done=(*alert.done, action))
            if action == REFERENCE:
                self._refer(rule, alert)
            self._keep(key, replace(track, alert=alert))
            messages += self._hands.act(action, alert, subject)
        return messages

    def _refer(self, rule: Rule, alert: Alert) -> None:
        """One camera's reference that stays takes the place of what stayed before."""
        if rule.reference_stays:
            self._references[(alert.kind, alert.subject)] = rule.reference
            self._changed = True

    def _keep(self, key: Key, track: Track) -> None:
        self._tracks[key] = track
        self._changed = True

    def _settle(self, *, always: bool = False) -> list[Message]:
        """After a change: to the disk first, then the retained list."""
        if not (self._changed or always):
            return []
        if self._changed:
            self._changed = False
            self._remember()
        alerts = self.alerts
        worst = alerts[0].severity if alerts else ""
        payload = {"count": len(alerts), "worst": worst, "alerts": [shown(a) for a in alerts]}
        return [Message(ALERTS, payload, retain=True, durable=False)]

    def _remember(self) -> None:
        wall = self._clocks.wall()
        cleared = {
            key: track.cleared_at
            for key, track in self._tracks.items()
            if key[0] in self._rules
            and 0.0 <= wall - track.cleared_at < self._rules[key[0]].hold_off_s
        }
        remembered = Remembered(self._last, tuple(self.alerts), cleared, dict(self._references))
        if not self._disk.do("alerts", lambda: self._write(remembered)):
            self._changed = True

    def _write(self, remembered: Remembered) -> None:
        """An errand; after a refusal the next window tries again."""
        try:
            self._memory.write(remembered)
        except (StorageError, OSError) as error:
            if str(error) != self._refused:
                log.error("alerts are not remembered: %s", error)
            self._refused = str(error)
            self._changed = True


def may(action: str, alert: Alert, subject: Subject) -> bool:
    """Whether an action of an active alert may be done now. Pure.

    A rollback needs a cause that it can cure, and the release that the alert is about; retraining
    must not be asked for a dirty lens or a broken engine. Both wait until triage has an answer.
    """
    if action == ROLLBACK:
        return alert.cause in RELEASE_CAUSES and alert.release == subject.release != ""
    if action == RETRAIN:
        return alert.cause not in (CAMERA, ENGINE) and not subject.finding.waiting
    return True


def outlived(rule: Rule, alert: Alert, subject: Subject) -> bool:
    """Whether an alert is about what inspectors said of a release that serves no more. Pure.

    Nothing may ever be said of the next one, and the alert would stand for good.
    """
    judged = any(name.startswith(READING) for name in names(rule.when.condition))
    return judged and subject.release not in ("", alert.release)


def shown(alert: Alert) -> dict[str, object]:
    """One alert in ``alerts/active`` and in `edge-agent alerts list --json`."""
    return {
        "alert": alert.number,
        "rule": alert.rule,
        "severity": alert.severity,
        "state": alert.state,
        "kind": alert.kind,
        "subject": alert.subject,
        "cause": alert.cause,
        "text": alert.text,
        "raised_at": alert.raised_at,
        "acknowledged_at": alert.acknowledged_at,
        "acknowledged_by": alert.acknowledged_by,
        "actions": list(alert.done),
    }


def _event(kind: str, severity: str, text: str, alert: Alert, **fields: object) -> Message:
    return event(
        kind,
        severity,
        text,
        alert=alert.number,
        rule=alert.rule,
        about=alert.kind,
        subject=alert.subject,
        cause=alert.cause,
        **fields,
    )
