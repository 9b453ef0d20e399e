"""One runtime per model: where its releases come from, and its cameras with their judges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from edge_agent.clerk import Disk
from edge_agent.config import Config, Model
from edge_agent.errors import UsageError
from edge_agent.loop.camera import CameraWorker
from edge_agent.loop.follow import FixedRelease, Follower, Releases
from edge_agent.loop.judge import Judge
from edge_agent.loop.loaded import Loaded, load_release, room_beside
from edge_agent.loop.runtime import Inbox, ModelRuntime
from edge_agent.loop.seen import Listener
from edge_agent.slots import Journal

Listeners = Callable[[str], Sequence[Listener]]
"""Those who look at the frames of a camera, by its id."""


def make_runtimes(
    config: Config,
    bundle: Path | None,
    journal: Journal | None,
    inbox: Inbox,
    listeners: Listeners,
    disk: Disk,
) -> list[ModelRuntime]:
    """The runtimes of all models that are configured.

    Args:
        config: agent.toml.
        bundle: run this bundle's folder instead of following the journal.
        journal: None when it could not be opened, or is not followed.
        inbox: where cameras leave their messages.
        listeners: who looks at their frames.
        disk: who goes to the data folder for them.

    Raises:
        UsageError: a bundle is given, and more than one model configured.
        OutpostError: the bundle cannot be loaded.
    """
    if bundle is not None:
        return [_fixed(config, bundle, inbox, listeners, disk)]
    return [_followed(config, model, journal, inbox, listeners, disk) for model in config.models]


def _followed(
    config: Config,
    model: Model,
    journal: Journal | None,
    inbox: Inbox,
    listeners: Listeners,
    disk: Disk,
) -> ModelRuntime:
    def load(digest: str) -> Loaded:
        root = config.layout.release(model.name, digest)
        return load_release(config, model, root, digest, disk=disk)

    def room(digest: str, beside: Loaded) -> str:
        return room_beside(config, model, digest, beside)

    follower = Follower(model.name, config.layout, journal, load, room=room, disk=disk)
    return _runtime(config, model, follower, inbox, listeners)


def _fixed(
    config: Config, bundle: Path, inbox: Inbox, listeners: Listeners, disk: Disk
) -> ModelRuntime:
    if len(config.models) != 1:
        names = ", ".join(model.name for model in config.models)
        raise UsageError(f"--bundle runs one model, {config.path} has {names}; leave one [[model]]")
    model = config.models[0]
    releases = FixedRelease(lambda: load_release(config, model, bundle, disk=disk))
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
