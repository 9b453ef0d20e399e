"""`edge-agent run`: the real parts, put together."""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent.config import Address, Config, Model
from edge_agent.errors import StorageError, UsageError, storage_errors
from edge_agent.layout import Layout
from edge_agent.loop.agent import Agent
from edge_agent.loop.camera import CameraWorker
from edge_agent.loop.follow import FixedRelease, Follower, Releases
from edge_agent.loop.judge import Judge
from edge_agent.loop.loaded import Loaded, load_release, room_beside
from edge_agent.loop.obey import Snapshots, actions
from edge_agent.loop.oversee import Overseer
from edge_agent.loop.runtime import Inbox, ModelRuntime
from edge_agent.loop.seen import Listener
from edge_agent.loop.starts import Starts
from edge_agent.metrics import Message
from edge_agent.policy.wishes import Wishes
from edge_agent.sinks import Hooks, SinkContext, make_sink
from edge_agent.slots import Journal
from edge_agent.telemetry.desk import Desk
from edge_agent.telemetry.outbox import Outbox
from edge_agent.telemetry.reported import Reporter
from edge_agent.telemetry.voice import Telemetry

if TYPE_CHECKING:
    from edge_agent.captures.recorder import Recorder
    from edge_agent.feedback.recent import Recent
    from edge_agent.page import LivePage
    from edge_agent.policy.webhook import Webhook
    from edge_agent.telemetry.scrape import Scrape

GOODBYE_S = 0.9
LAST_CAPTURES_S = 0.5
log = logging.getLogger(__name__)

Listeners = Callable[[str], Sequence[Listener]]
"""Those who look at the frames of a camera, by its id."""


def run(
    config: Config,
    *,
    bundle: Path | None = None,
    sink: str | None = None,
    page: Address | None = None,
) -> None:
    """Run the agent until SIGTERM, Ctrl-C, or the end of every source.

    Args:
        config: agent.toml.
        bundle: run this bundle's folder instead of following the journal.
        sink: spec of the sink; MQTT when there is a ``[mqtt]`` section, else a log file, when None.
        page: where to show the page; where ``[page]`` says, when None.

    Raises:
        OutpostError: when it cannot begin; later troubles are logged, counted and told.
    """
    boot = secrets.token_hex(4)
    start_logging(config, boot)
    layout = config.layout
    shown = _page(config, page or config.page.address)
    with ExitStack() as stack:
        _make_folders(layout)
        stack.enter_context(only_one(layout.data / "agent.lock"))
        starts = Starts(layout.starts)
        stack.callback(starts.end)
        max_age_s = config.metrics.outbox_max_age_h * 3600
        outbox = Outbox(layout.outbox, int(config.metrics.outbox_max_mb * 1e6), max_age_s)
        stack.callback(outbox.close)
        scrape = _scrape(config, lambda: telemetry.state)
        snapshots = Snapshots()
        seen: list[Listener] = [snapshots, *([shown.watch] if shown is not None else [])]
        heard: list[Callable[[Message], None]] = [shown.heard] if shown is not None else []
        if scrape is not None:
            heard.append(scrape)
        telemetry = Telemetry(outbox, boot, listeners=heard)
        inbox = Inbox()
        chosen = sink or ("mqtt" if config.mqtt is not None else "log")
        journal = _open_journal(layout.journal) if bundle is None else None
        if journal is not None:
            stack.callback(journal.close)
        recorder = _recorder(config, telemetry.boot, inbox)
        if recorder is not None:
            stack.callback(recorder.close, LAST_CAPTURES_S)
        recent = _recent(config, telemetry.boot)
        if recent is not None:
            stack.callback(recent.close, LAST_CAPTURES_S)
            seen.append(recent.listen)
        wishes = None if recorder is None else Wishes(recorder, config.capture.spacing_s)
        runtimes = _runtimes(config, bundle, journal, inbox, _listeners(seen, recorder, wishes))
        webhook = _webhook(config, inbox)
        if webhook is not None:
            stack.callback(webhook.close, GOODBYE_S)
        overseer = Overseer(config, runtimes, journal=journal, wishes=wishes, webhook=webhook)
        telemetry.listen(overseer.heard)
        agent = Agent(
            config,
            runtimes,
            inbox=inbox,
            telemetry=telemetry,
            outbox=outbox,
            reporter=_reporter(config, journal, outbox),
            overseer=overseer,
            counters=[starts.totals, *(part.totals for part in (recorder, shown, recent) if part)],
        )
        hooks = Hooks(
            tell=inbox.put,
            obey=_desk(config, agent, runtimes, snapshots, telemetry),
            announcements=_announcements(config),
            expiry_s=max_age_s,
        )
        context = SinkContext(config, outbox, telemetry.boot, telemetry.stamp_live, hooks)
        stack.enter_context(stop_on_signals(agent))
        if shown is not None:
            stack.enter_context(shown.serving(runtimes, None if bundle else layout.journal))
        if scrape is not None and config.prometheus.address is not None:
            stack.enter_context(scrape.serving(config.prometheus.address, config.device.id))
        telemetry.attach(make_sink(chosen, context))
        stack.callback(telemetry.close, GOODBYE_S)
        agent.run()


def _make_folders(layout: Layout) -> None:
    for folder in (layout.data, layout.run):
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)


def _page(config: Config, address: Address | None) -> LivePage | None:
    """The page, where one is wanted; without one its modules are not even imported."""
    if address is None:
        return None
    from edge_agent.page import LivePage

    return LivePage(config, address)


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
    telemetry: Telemetry,
) -> Callable[[str, bytes, bool], None] | None:
    """Where commands arrive, unless this device hears none."""
    if config.mqtt is None or not config.mqtt.commands:
        return None
    cameras = [camera for runtime in runtimes for camera in runtime.cameras]
    desk = Desk(
        config.layout.commands,
        actions(config.layout, cameras, snapshots, agent.set_interval),
        allowed=config.mqtt.commands,
        tell=telemetry.say,
    )
    agent.obey(desk)
    return desk.hear


def _announcements(config: Config) -> tuple[tuple[str, bytes], ...]:
    if not config.homeassistant.enabled:
        return ()
    from edge_agent.telemetry.homeassistant import announcement

    return (announcement(config),)


def _open_journal(path: Path) -> Journal | None:
    """The journal, or None: a damaged one must not keep the device from inferring."""
    try:
        return Journal(path)
    except StorageError as error:
        log.error("%s; running what the `current` link names", error)
        return None


def _reporter(config: Config, journal: Journal | None, outbox: Outbox) -> Reporter | None:
    names = (model.name for model in config.models)
    return None if journal is None else Reporter(names, journal, outbox)


def _recorder(config: Config, boot: str, inbox: Inbox) -> Recorder | None:
    """What keeps hard frames; None, and not even imported, when ``[capture]`` is off."""
    if not config.capture.enabled:
        return None
    from edge_agent.captures.recorder import open_recorder

    return open_recorder(config, boot, inbox.put)


def _webhook(config: Config, inbox: Inbox) -> Webhook | None:
    """Who is asked for retraining; without one nothing of HTTP is imported."""
    if config.policy.webhook is None:
        return None
    from edge_agent.policy.webhook import Webhook

    return Webhook(config.policy.webhook, inbox.put)


def _recent(config: Config, boot: str) -> Recent | None:
    """What remembers the last frames' detections for inspectors."""
    most_bytes = int(config.feedback.recent_mb * 1e6)
    if not most_bytes:
        return None
    from edge_agent.feedback.recent import Recent

    recent = Recent(config.layout.feedback, most_bytes, boot)
    recent.start()
    return recent


def _listeners(
    everywhere: Sequence[Listener], recorder: Recorder | None, wishes: Wishes | None
) -> Listeners:
    if recorder is None or wishes is None:
        return lambda camera: everywhere
    return lambda camera: [*everywhere, recorder.listener(camera), wishes.listener(camera)]


def _runtimes(
    config: Config,
    bundle: Path | None,
    journal: Journal | None,
    inbox: Inbox,
    listeners: Listeners,
) -> list[ModelRuntime]:
    if bundle is not None:
        return [_fixed(config, bundle, inbox, listeners)]
    return [_followed(config, model, journal, inbox, listeners) for model in config.models]


def _followed(
    config: Config, model: Model, journal: Journal | None, inbox: Inbox, listeners: Listeners
) -> ModelRuntime:
    def load(digest: str) -> Loaded:
        return load_release(config, model, config.layout.release(model.name, digest), digest)

    def room(digest: str, beside: Loaded) -> str:
        return room_beside(config, model, digest, beside)

    follower = Follower(model.name, config.layout, journal, load, room=room)
    return _runtime(config, model, follower, inbox, listeners)


def _fixed(config: Config, bundle: Path, inbox: Inbox, listeners: Listeners) -> ModelRuntime:
    if len(config.models) != 1:
        names = ", ".join(model.name for model in config.models)
        raise UsageError(f"--bundle runs one model, {config.path} has {names}; leave one [[model]]")
    model = config.models[0]
    releases = FixedRelease(lambda: load_release(config, model, bundle))
    return _runtime(config, model, releases, inbox, listeners)


def _runtime(
    config: Config, model: Model, releases: Releases, inbox: Inbox, listeners: Listeners
) -> ModelRuntime:
    holder = releases.holder
    cameras = []
    for camera in config.cameras:
        if camera.model == model.name:
            judge = Judge(
                camera,
                config.gate,
                holder,
                inbox.put,
                detections=config.metrics.detections,
                listeners=listeners(camera.id),
            )
            cameras.append(CameraWorker(camera, judge, holder.wait, inbox.put))
    return ModelRuntime(model.name, releases, cameras)


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Hold a lock file, so that two agents never share a data folder.

    Raises:
        StorageError: when another process holds it.
    """
    with storage_errors(path):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StorageError(
            f"{path}: another edge-agent runs with this data folder; stop it or choose another"
        ) from None
    else:
        yield
    finally:
        os.close(fd)


@contextmanager
def stop_on_signals(agent: Agent) -> Iterator[None]:
    """SIGTERM and Ctrl-C end the agent cleanly."""
    before = {
        number: signal.signal(number, lambda *_: agent.stop())
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def start_logging(config: Config, boot: str) -> None:
    """One line per record on stderr: text, or JSON where ``[log]`` wants it."""
    handler = logging.StreamHandler(sys.stderr)
    if config.log.format == "json":
        from edge_agent.telemetry.ecs import EcsFormatter

        handler.setFormatter(EcsFormatter(config.device.id, boot))
    else:
        form = "%(asctime)s %(levelname)s %(message)s"
        handler.setFormatter(logging.Formatter(form, datefmt="%Y-%m-%dT%H:%M:%S"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
