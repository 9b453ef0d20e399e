"""The real parts of an agent, put together as agent.toml says.

What is off is not made, and not even imported.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent.captures.masks import masks_of
from edge_agent.clerk import Clerks
from edge_agent.config import Address, Config
from edge_agent.errors import StorageError
from edge_agent.feedback.intake import Intake
from edge_agent.feedback.pace import independent_times
from edge_agent.loop.agent import Agent
from edge_agent.loop.judge import Tell
from edge_agent.loop.obey import Snapshots, actions
from edge_agent.loop.oversee import Overseer
from edge_agent.loop.runtime import Inbox, ModelRuntime
from edge_agent.loop.runtimes import Listeners, make_runtimes
from edge_agent.loop.seen import Listener
from edge_agent.loop.starts import Starts
from edge_agent.metrics import event
from edge_agent.policy.wishes import Wishes
from edge_agent.sinks import Hooks, SinkContext
from edge_agent.slots import Journal
from edge_agent.telemetry.desk import Desk
from edge_agent.telemetry.outbox import IN_MEMORY, Outbox
from edge_agent.telemetry.reported import CURSOR, Reporter
from edge_agent.telemetry.voice import Telemetry

if TYPE_CHECKING:
    from edge_agent.captures.recorder import Recorder
    from edge_agent.feedback.recent import Recent
    from edge_agent.page import LivePage
    from edge_agent.policy.webhook import Webhook
    from edge_agent.telemetry.scrape import Scrape

LAST_CAPTURES_S = 0.5
LAST_WORDS_S = 0.9
LAST_ERRANDS_S = 0.5
IN_MEMORY_MOST_BYTES = 4_000_000
"""Of telemetry that no disk takes: half an hour of windows of a few cameras."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Household:
    """An agent that is ready to run, and the ways into it from outside."""

    config: Config
    agent: Agent
    telemetry: Telemetry
    context: SinkContext
    runtimes: list[ModelRuntime]
    journal: Path | None
    page: LivePage | None
    scrape: Scrape | None

    def open_doors(self, stack: ExitStack) -> None:
        """Serve the page and ``/metrics`` where they are wanted; raises `ConfigError`."""
        if self.page is not None:
            stack.enter_context(self.page.serving(self.runtimes, self.journal))
        address = self.config.prometheus.address
        if self.scrape is not None and address is not None:
            stack.enter_context(self.scrape.serving(address, self.config.device.id))


def assemble(
    config: Config, stack: ExitStack, boot: str, *, bundle: Path | None, page: Address | None
) -> Household:
    """Make every part; what must be closed is put on the stack.

    Args:
        config: agent.toml.
        stack: closed when the agent ends.
        boot: identity of this agent process.
        bundle: run this bundle's folder instead of following the journal.
        page: where the page is shown; None for none.

    Raises:
        OutpostError: a part cannot be made.
    """
    inbox, clerks = Inbox(), Clerks.start()
    ends: list[Callable[[], None]] = []
    stack.callback(_close, clerks, ends)
    starts = Starts(config.layout.starts)
    ends.append(starts.end)
    intake = _intake(config, inbox, lambda *told: telemetry.remind(*told))
    shown = _page(config, page, boot, intake)
    journal = None if bundle is not None else _journal(config)
    outbox = _outbox(config, journal, inbox)
    ends.append(outbox.close)
    if journal is not None:
        ends.append(journal.close)
    scrape = _scrape(config, lambda: telemetry.state)
    heard = [part for part in (shown.heard if shown else None, scrape) if part is not None]
    telemetry = Telemetry(outbox, boot, listeners=heard, disk=clerks.data)
    recorder, recent = _recorder(config, boot, inbox, stack), _recent(config, boot, stack)
    wishes = None if recorder is None else Wishes(recorder, config.capture.spacing_s)
    snapshots = Snapshots()
    everywhere: list[Listener] = [snapshots]
    everywhere += [shown.watch] if shown is not None else []
    everywhere += [recent.listen] if recent is not None else []
    listeners = _listeners(everywhere, recorder, wishes)
    runtimes = make_runtimes(config, bundle, journal, inbox, listeners, clerks.data)
    webhook = _webhook(config, inbox, stack)
    overseer = Overseer(
        config, runtimes, journal=journal, wishes=wishes, webhook=webhook, disk=clerks.data
    )
    telemetry.listen(overseer.heard)
    intake.start()
    stack.callback(intake.close, LAST_CAPTURES_S)
    agent = Agent(
        config,
        runtimes,
        inbox=inbox,
        telemetry=telemetry,
        outbox=outbox,
        reporter=_reporter(config, journal, outbox),
        overseer=overseer,
        clerks=clerks,
        counters=[starts.totals, *(part.totals for part in (recorder, shown, recent) if part)],
    )
    hooks = Hooks(
        tell=inbox.put,
        obey=_desk(config, agent, runtimes, snapshots, inbox, intake),
        announcements=_announcements(config),
        expiry_s=config.metrics.outbox_max_age_h * 3600,
    )
    context = SinkContext(config, outbox, boot, telemetry.stamp_live, hooks)
    path = None if bundle is not None else config.layout.journal
    return Household(config, agent, telemetry, context, runtimes, path, shown, scrape)


def _page(config: Config, address: Address | None, boot: str, intake: Intake) -> LivePage | None:
    """The page, where one is wanted; without one its modules are not even imported."""
    if address is None:
        return None
    from edge_agent.page import LivePage

    return LivePage(config, address, boot, intake)


def _scrape(config: Config, state: Callable[[], str]) -> Scrape | None:
    """What answers a Prometheus, where one is wanted."""
    if config.prometheus.address is None:
        return None
    from edge_agent.telemetry.scrape import Scrape

    return Scrape(state)


def _desk(
    config: Config,
    agent: Agent,
    runtimes: Sequence[ModelRuntime],
    snapshots: Snapshots,
    inbox: Inbox,
    intake: Intake,
) -> Callable[[str, bytes, bool], None] | None:
    """Where commands arrive, unless this device hears none."""
    if config.mqtt is None or not config.mqtt.commands:
        return None
    cameras = [camera for runtime in runtimes for camera in runtime.cameras]
    masks = masks_of(config.capture.masks)
    desk = Desk(
        config.layout.commands,
        actions(config.layout, cameras, snapshots, agent.set_interval, masks, intake),
        allowed=config.mqtt.commands,
        tell=lambda message: inbox.put(message, 0),
    )
    agent.obey(desk)
    return desk.hear


def _announcements(config: Config) -> tuple[tuple[str, bytes], ...]:
    if not config.homeassistant.enabled:
        return ()
    from edge_agent.telemetry.homeassistant import announcement

    return (announcement(config),)


def _close(clerks: Clerks, ends: Sequence[Callable[[], None]]) -> None:
    """Close what is on the disk; where that does not answer, the process ends without it."""
    clerks.run.close(LAST_ERRANDS_S)
    if not clerks.data.close(LAST_ERRANDS_S):
        log.warning("the disk does not answer; what waits for it is lost")
        return
    for end in reversed(ends):
        end()


def _journal(config: Config) -> Journal | None:
    """The journal, or None: a damaged one must not keep the device from inferring."""
    try:
        return Journal(config.layout.journal)
    except StorageError as error:
        log.error("%s; running what the `current` link names", error)
        return None


def _outbox(config: Config, journal: Journal | None, inbox: Inbox) -> Outbox:
    """Where telemetry waits: in memory where the disk refuses, because the agent must run."""
    settings = config.metrics
    most_bytes, max_age_s = int(settings.outbox_max_mb * 1e6), settings.outbox_max_age_h * 3600
    try:
        return Outbox(config.layout.outbox, most_bytes, max_age_s)
    except StorageError as error:
        text = f"telemetry waits in memory and is lost with the agent: {error}"
        log.error("%s", text)
        inbox.put(event("outbox.failed", "error", text), 0)
    outbox = Outbox(IN_MEMORY, min(most_bytes, IN_MEMORY_MOST_BYTES), max_age_s)
    # What the journal holds already is not told anew: the file remembers how far it was told.
    with suppress(StorageError):
        rows = journal.history() if journal is not None else []
        outbox.put([], cursor=(CURSOR, rows[-1].seq if rows else 0))
    return outbox


def _reporter(config: Config, journal: Journal | None, outbox: Outbox) -> Reporter | None:
    names = (model.name for model in config.models)
    return None if journal is None else Reporter(names, journal, outbox)


def _recorder(config: Config, boot: str, inbox: Inbox, stack: ExitStack) -> Recorder | None:
    """What keeps hard frames; None, and not even imported, when ``[capture]`` is off."""
    if not config.capture.enabled:
        return None
    from edge_agent.captures.recorder import open_recorder

    recorder = open_recorder(config, boot, inbox.put)
    stack.callback(recorder.close, LAST_CAPTURES_S)
    return recorder


def _recent(config: Config, boot: str, stack: ExitStack) -> Recent | None:
    """What remembers the last frames' detections for inspectors."""
    most_bytes = int(config.feedback.recent_mb * 1e6)
    if not most_bytes:
        return None
    from edge_agent.feedback.recent import Recent

    recent = Recent(config.layout.feedback, most_bytes, boot)
    recent.start()
    stack.callback(recent.close, LAST_CAPTURES_S)
    return recent


def _intake(config: Config, inbox: Inbox, remind: Tell) -> Intake:
    """What keeps verdicts and tells what they make of precision and recall, once it is started."""
    return Intake(
        config.layout.feedback,
        config.captures,
        frozenset(camera.id for camera in config.cameras),
        inbox.put,
        remind=remind,
        times=lambda: independent_times(config),
    )


def _webhook(config: Config, inbox: Inbox, stack: ExitStack) -> Webhook | None:
    """Who is asked for retraining; without one nothing of HTTP is imported."""
    if config.policy.webhook is None:
        return None
    from edge_agent.policy.webhook import Webhook

    webhook = Webhook(config.policy.webhook, inbox.put)
    stack.callback(webhook.close, LAST_WORDS_S)
    return webhook


def _listeners(
    everywhere: Sequence[Listener], recorder: Recorder | None, wishes: Wishes | None
) -> Listeners:
    if recorder is None or wishes is None:
        return lambda camera: everywhere
    return lambda camera: [*everywhere, recorder.listener(camera), wishes.listener(camera)]
