"""Drives one model through the transaction: look, decide, take the step, look again.

What to do is decided by registry_sync/device/transaction.py and trial.py, how it is done stands in
steps.py. Nothing is kept in memory between two looks that a restart would miss.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edge_agent.config import Model
from edge_agent.errors import OutpostError
from edge_agent.slots import Slot, State
from registry_sync.device.steps import Refused, Steps, World
from registry_sync.device.transaction import (
    INSTALLING,
    Action,
    Do,
    Facts,
    Request,
    decide,
    facts_for,
)
from registry_sync.device.trial import Outcome
from registry_sync.device.watch import Watch
from registry_sync.rollout import Rollout

WAITS = frozenset({Do.REST, Do.WATCH})


class Updater:
    """The transaction of one model."""

    def __init__(self, world: World, model: Model) -> None:
        self.world = world
        self.model = model
        self.waiting = ""
        self._watch = Watch(world.config, model, world.moment)
        self.steps = Steps(world, model, self._watch)
        self._table: Mapping[Do, Callable[[Slot, Action, Rollout | None], None]] = {
            Do.RESOLVE: self.steps.resolve,
            Do.DOWNLOAD: self.steps.download,
            Do.VERIFY: self.steps.verify,
            Do.PREPARE: self.steps.prepare,
            Do.SWITCH: self.steps.switch,
            Do.LINK: self.steps.link,
            Do.COMMIT: self.steps.commit,
            Do.CALL_OFF: self.steps.call_off,
            Do.ACKNOWLEDGE: self.steps.acknowledge,
            Do.REPAIR: self.steps.repair,
            Do.ROLL_BACK: self.steps.roll_back,
            Do.LINK_BACK: self.steps.link_back,
            Do.ANSWER: self.steps.answer,
        }

    def slot(self) -> Slot:
        """Where this model stands, as the journal has it."""
        return self.world.journal.slot(self.model.name)

    def drive(self, document: Rollout | None, request: Request | None = None) -> Action:
        """Take steps until there is nothing to do but wait.

        Args:
            document: the newest rollout document, None while unknown.
            request: an operator's unanswered request.

        Returns:
            The waiting action: `Do.REST`, or `Do.WATCH` while a trial goes on.

        Raises:
            OutpostError: when a step after the switch, or the journal itself, is refused by the
                disk; looking again repeats it.
        """
        while True:
            slot = self.slot()
            action = decide(slot, self._facts(slot, document, request), self.world.moment().wall)
            if action.do is Do.WATCH:
                action = self._judge(slot)
            if action.do in WAITS:
                self.waiting = action.reason
                return action
            if action.do in (Do.ROLL_BACK, Do.ANSWER):
                request = None
            self._take(slot, action, document)

    def _facts(self, slot: Slot, document: Rollout | None, request: Request | None) -> Facts:
        device = self.world.config.device
        return facts_for(
            device.id,
            device.tags,
            document,
            linked=self.world.config.layout.linked(self.model.name),
            banned=self.steps.banned(document.digest) if document else "",
            request=request,
            # Only the step before a switch asks, and reading health costs some milliseconds.
            agent_alive=slot.state is not State.PREPARED or self._watch.alive(),
        )

    def _judge(self, slot: Slot) -> Action:
        """Step 7 of steps.py: live health decides."""
        verdict = self._watch.judge(slot)
        if verdict.outcome is Outcome.PASS:
            return Action(Do.COMMIT, verdict.reason)
        if verdict.outcome is Outcome.INCONCLUSIVE:
            return Action(Do.WATCH, verdict.reason)
        return Action(
            Do.ROLL_BACK,
            verdict.reason,
            ban=verdict.blame,
            target=slot.committed,
            leaving=slot.candidate,
        )

    def _take(self, slot: Slot, action: Action, document: Rollout | None) -> None:
        try:
            self._table[action.do](slot, action, document)
        except Refused as error:
            self.steps.refuse(slot, str(error))
        except OutpostError as error:
            # From the switch on there is only forward or back, so the same step is tried again.
            if slot.state not in INSTALLING:
                raise
            self.steps.fail(slot, str(error))
