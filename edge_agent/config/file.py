"""agent.toml as a whole: one configuration for the agent and the updater of a device.

Strict: an unknown key is an error that names the nearest right one, and every fault is listed
before failing once. Each section but ``[device]``, ``[[model]]`` and ``[[camera]]`` has defaults
that need no thought. docs/install.md explains the keys; `edge-agent init` writes them annotated.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_agent.checked import Fields, nearest
from edge_agent.config.capture import Capture, parse_capture
from edge_agent.config.device import (
    Device,
    Mqtt,
    Repository,
    parse_device,
    parse_mqtt,
    parse_repository,
)
from edge_agent.config.exports import (
    HomeAssistant,
    Log,
    Prometheus,
    parse_homeassistant,
    parse_log,
    parse_prometheus,
)
from edge_agent.config.feedback import Feedback, parse_feedback
from edge_agent.config.gate import Gate, parse_gate
from edge_agent.config.models import (
    Camera,
    Model,
    SelfTest,
    parse_camera,
    parse_model,
    parse_selftest,
)
from edge_agent.config.monitors import Drift, Metrics, parse_drift, parse_metrics
from edge_agent.config.page import Page, parse_page
from edge_agent.config.policy import Policy, parse_policy
from edge_agent.errors import ConfigError
from edge_agent.layout import Layout

if sys.version_info >= (3, 11):
    import tomllib
else:  # JetPack 6 has Python 3.10
    import tomli as tomllib


@dataclass(frozen=True)
class Config:
    """The whole file."""

    path: Path
    device: Device
    mqtt: Mqtt | None
    repository: Repository | None
    models: tuple[Model, ...]
    cameras: tuple[Camera, ...]
    gate: Gate
    drift: Drift
    metrics: Metrics
    selftest: SelfTest
    page: Page
    capture: Capture
    policy: Policy
    feedback: Feedback
    prometheus: Prometheus
    homeassistant: HomeAssistant
    log: Log

    @property
    def captures(self) -> Path:
        """The folder of kept frames."""
        return self.capture.folder or self.layout.captures

    @property
    def layout(self) -> Layout:
        """The device's folders."""
        return self.device.layout

    def model(self, name: str) -> Model:
        """The ``[[model]]`` of this name; cameras only name models that exist."""
        return next(model for model in self.models if model.name == name)


def load(path: Path) -> Config:
    """Read and check a configuration file; relative paths in it are relative to its folder.

    Raises:
        ConfigError: naming the file and every fault in it.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror}; write one with `edge-agent init -o {path}`"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    return parse(document, path)


def parse(document: dict[str, Any], path: Path) -> Config:
    """Check a parsed configuration; raises `ConfigError` with every fault."""
    fields = Fields(document)
    folder = path.parent.absolute()
    capture = parse_capture(fields.table("capture", optional=True), folder)
    gate = parse_gate(fields.table("gate", optional=True))
    config = Config(
        path=path,
        device=parse_device(fields.table("device"), folder),
        mqtt=parse_mqtt(fields.table("mqtt"), folder) if fields.has("mqtt") else None,
        repository=(
            parse_repository(fields.table("repository"), folder)
            if fields.has("repository")
            else None
        ),
        models=tuple(parse_model(item) for item in fields.tables("model", least=1)),
        cameras=tuple(parse_camera(item, folder) for item in fields.tables("camera")),
        gate=gate,
        drift=parse_drift(fields.table("drift", optional=True)),
        metrics=parse_metrics(fields.table("metrics", optional=True)),
        selftest=parse_selftest(fields.table("selftest", optional=True)),
        page=parse_page(fields.table("page", optional=True), folder),
        capture=capture,
        policy=parse_policy(
            fields.table("policy", optional=True),
            fields.tables("rule"),
            folder,
            captures=capture.enabled,
            gate=gate.enabled,
        ),
        feedback=parse_feedback(fields.table("feedback", optional=True)),
        prometheus=parse_prometheus(fields.table("prometheus", optional=True)),
        homeassistant=parse_homeassistant(fields.table("homeassistant", optional=True)),
        log=parse_log(fields.table("log", optional=True)),
    )
    _check_names(fields, config)
    fields.close()
    if fields.faults:
        raise ConfigError(f"{path}: " + "; ".join(fields.faults))
    return config


def _check_names(fields: Fields, config: Config) -> None:
    names = [model.name for model in config.models]
    for kind, ids in (("model", names), ("camera", [camera.id for camera in config.cameras])):
        for name in sorted({name for name in ids if ids.count(name) > 1}):
            fields.fault(kind, f'"{name}" is there twice')
    for index, camera in enumerate(config.cameras):
        if camera.model and camera.model not in names:
            fields.fault(
                f"camera[{index}].model", f'"{camera.model}" is not a [[model]]: {", ".join(names)}'
            )
    # A mask under a misspelt name would hide nothing.
    cameras = [camera.id for camera in config.cameras]
    for table, shapes in (
        ("capture.masks", config.capture.masks),
        ("gate.ignore", config.gate.ignore),
    ):
        for name in shapes:
            if name not in cameras:
                hint = nearest(name, cameras)
                fields.fault(f"{table}.{name}", f"there is no camera of this id{hint}")
