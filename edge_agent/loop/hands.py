"""What is done when a rule asks for it; each action returns at once.

What needs the disk is done by whoever goes there, and told when it is done.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent.clerk import Disk
from edge_agent.config import Config
from edge_agent.errors import StorageError
from edge_agent.loop.runtime import ModelRuntime
from edge_agent.metrics import Message, event
from edge_agent.policy.alerts import Alert
from edge_agent.policy.catalogue import CAMERA
from edge_agent.policy.desk import Subject
from edge_agent.policy.rules import CAPTURE, REFERENCE, RETRAIN, ROLLBACK, STOP
from edge_agent.policy.wishes import Wishes
from edge_agent.slots import ROLLBACK_REQUESTED, ROLLBACK_WITHDRAWN, Journal

if TYPE_CHECKING:
    from edge_agent.policy.webhook import Webhook

NAMED_MOST = 50
log = logging.getLogger(__name__)
_SIDECAR = re.compile(r"(\d+)_([^_]+)_[^_]+\.json")


Tell = Callable[[Message], None]


class Hands:
    """What does the actions of rules (`edge_agent.policy.desk.Hands`).

    Args:
        config: the whole configuration.
        runtimes: the models.
        journal: where a rollback is asked for; used in errands only.
        wishes: where frames are asked for.
        webhook: who is asked for retraining.
        disk: who goes to the journal and looks for captures.
        tell: takes what an errand has to say.
    """

    def __init__(
        self,
        config: Config,
        runtimes: Sequence[ModelRuntime],
        journal: Journal | None,
        wishes: Wishes | None,
        webhook: Webhook | None,
        disk: Disk,
        tell: Tell,
    ) -> None:
        self._config = config
        self._cameras = {r.name: [c.camera.id for c in r.cameras] for r in runtimes}
        self._journal = journal
        self._wishes = wishes
        self._webhook = webhook
        self._disk = disk
        self._tell = tell
        self._table: dict[str, Callable[[Alert, Subject], list[Message]]] = {
            CAPTURE: self._capture,
            ROLLBACK: self._roll_back,
            RETRAIN: self._retrain,
            STOP: self._stand,
            REFERENCE: self._stand,
        }

    def act(self, action: str, alert: Alert, subject: Subject) -> list[Message]:
        """Do it, or have it done, and tell."""
        return self._table[action](alert, subject)

    def undo(self, action: str, alert: Alert) -> list[Message]:
        """A rollback that was not made yet is not wanted any more."""
        journal = self._journal
        if action != ROLLBACK or journal is None:
            return []
        model = self._model_of(alert)

        def withdraw() -> None:
            try:
                if journal.slot(model).committed == alert.release:
                    why = f"alert {alert.number} ({alert.rule}) was cleared"
                    journal.note(model, alert.release, ROLLBACK_WITHDRAWN, why, by="agent")
            except StorageError as error:
                log.error("%s: the rollback was not withdrawn: %s", model, error)

        self._disk.do(f"withdraw {alert.number}", withdraw)
        return []

    def _capture(self, alert: Alert, subject: Subject) -> list[Message]:
        if self._wishes is not None:
            for camera in self._of(subject):
                self._wishes.ask(camera, alert.rule, f"alert {alert.number}: {alert.text}")
        return []

    def _roll_back(self, alert: Alert, subject: Subject) -> list[Message]:
        """A note in the journal, which the updater reads, decides upon and answers."""
        because = f"alert {alert.number} ({alert.rule}): {subject.finding.text}"
        fields = {"model": subject.model, "release": subject.release, "alert": alert.number}
        fields |= {"cause": alert.cause}
        journal = self._journal
        if journal is None:
            text = f"{subject.model}: nobody can roll back here: {because}"
            return [event("rollback.impossible", "error", text, **fields)]

        def ask() -> Message:
            try:
                journal.note(
                    subject.model, subject.release, ROLLBACK_REQUESTED, because,
                    by="agent", cause=alert.cause,
                )  # fmt: skip
            except StorageError as error:
                text = f"{subject.model}: the rollback was not asked for: {error}"
                return event("rollback.impossible", "error", text, **fields)
            text = (
                f"{subject.model} {subject.version}: the updater is asked to roll back: {because}"
            )
            return event("rollback.requested", "warning", text, **fields)

        return self._later(f"rollback {alert.number}", ask, subject.model)

    def _retrain(self, alert: Alert, subject: Subject) -> list[Message]:
        work = partial(self._ask_retraining, alert, subject)
        return self._later(f"retrain {alert.number}", work, subject.model)

    def _ask_retraining(self, alert: Alert, subject: Subject) -> Message:
        document = {
            "device": self._config.device.id,
            "model": subject.model,
            "version": subject.version,
            "release": subject.release,
            "alert": alert.number,
            "rule": alert.rule,
            "cause": alert.cause,
            "text": alert.text,
            "captures": newest(self._config.captures, self._of(subject)),
        }
        asked = self._webhook is not None and self._webhook.post(document, subject.version)
        text = (
            f"{subject.model} {subject.version}: retraining is asked for, alert {alert.number}:"
            f" {subject.finding.text}"
        )
        told = {name: value for name, value in document.items() if name not in ("text", "version")}
        return event("retraining.requested", "warning", text, webhook=asked, **told)

    def _later(self, name: str, work: Callable[[], Message], model: str) -> list[Message]:
        """Have something done at the disk, and what it says told."""
        if self._disk.do(name, lambda: self._tell(work())):
            return []
        text = f"{model}: too much waits for the disk; not done: {name}"
        return [event("action.impossible", "error", text, model=model)]

    def _stand(self, alert: Alert, subject: Subject) -> list[Message]:
        """Nothing here: as long as the alert stands, the overseer sees to it."""
        return []

    def _model_of(self, alert: Alert) -> str:
        named = (model for model, ids in self._cameras.items() if alert.subject in ids)
        return next(named, "") if alert.kind == CAMERA else alert.subject

    def _of(self, subject: Subject) -> list[str]:
        return [subject.name] if subject.kind == CAMERA else self._cameras.get(subject.model, [])


def newest(folder: Path, cameras: Sequence[str]) -> list[str]:
    """The newest captures of these cameras by name, newest first, at most `NAMED_MOST`."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    found = [match for name in names if (match := _SIDECAR.fullmatch(name))]
    mine = sorted((match for match in found if match[2] in cameras), key=lambda m: -int(m[1]))
    return [match[0].removesuffix(".json") for match in mine[:NAMED_MOST]]
