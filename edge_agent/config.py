"""agent.toml: one configuration for the agent and the updater of a device.

Strict: an unknown key is an error that names the nearest right one, and every fault is listed
before failing once. Each section but ``[device]``, ``[[model]]`` and ``[[camera]]`` has defaults
that need no thought. docs/install.md explains the keys; `edge-agent init` writes them annotated.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from edge_agent.bundle import NAME_PATTERN
from edge_agent.checked import Fields
from edge_agent.errors import ConfigError
from edge_agent.layout import Layout
from edge_agent.metrics import DEVICE_PATTERN

if sys.version_info >= (3, 11):
    import tomllib
else:  # JetPack 6 has Python 3.10
    import tomli as tomllib

PROVIDERS = ("tensorrt", "cuda", "cpu")
POLICIES = ("wait", "drop-oldest", "drop-latest")
FALLBACKS = ("refuse", "allow")


@dataclass(frozen=True)
class Device:
    """``[device]``: who this is and where its files lie."""

    id: str
    tags: dict[str, Any]
    layout: Layout


@dataclass(frozen=True)
class Mqtt:
    """``[mqtt]``: the broker; ``url`` is ``mqtt://host:port`` or ``mqtts://…``."""

    url: str
    ca: Path | None
    cert: Path | None
    key: Path | None
    username: str
    password_file: Path | None
    keepalive_s: int


@dataclass(frozen=True)
class Repository:
    """``[repository]``: where releases come from and the root of trust that is embedded."""

    url: str
    root: Path
    poll_s: float


@dataclass(frozen=True)
class Model:
    """``[[model]]``: one model that this device runs, and on what.

    Attributes:
        providers: wanted order; the first is the wanted one.
        fallback: ``refuse`` fails when the wanted provider is not active, ``allow`` reports it.
        threads: threads of the CPU provider, 0 for all cores.
    """

    name: str
    group: str
    variant: str
    providers: tuple[str, ...]
    fallback: str
    threads: int


@dataclass(frozen=True)
class Camera:
    """``[[camera]]``: one source of frames and the model that looks at it.

    Attributes:
        source: ``file:clip.mp4?loop=1&fps=10``, ``dir:frames``; the table is edge_agent.sources.
        policy: what happens when the model is slower than the camera, one of `POLICIES`.
        queue: frames that may wait.
    """

    id: str
    source: str
    model: str
    policy: str
    queue: int


@dataclass(frozen=True)
class Gate:
    """``[gate]``: the input check.

    Attributes:
        action: ``skip`` keeps rejected frames from the model, ``flag`` only reports them.
        ssim_min: least SSIM against the reference; None takes it from the bundle's profile.
        width: width in pixels to which frames are reduced for the check.
        raise_after, clear_after: frames in a row that raise and clear the alarm.
    """

    enabled: bool
    action: str
    ssim_min: float | None
    width: int
    raise_after: int
    clear_after: int


@dataclass(frozen=True)
class Drift:
    """``[drift]``: output distribution against the profile.

    Attributes:
        psi_max: population stability index above which a difference matters.
        min_frames: frames per verdict.
        correlated_frames: neighbouring frames that show the same thing; so many are one look.
    """

    psi_max: float
    min_frames: int
    correlated_frames: int


@dataclass(frozen=True)
class Metrics:
    """``[metrics]``: how often a window is closed and sent, and how much may wait on disk."""

    window_s: float
    outbox_max_mb: float
    detections: bool


@dataclass(frozen=True)
class SelfTest:
    """``[selftest]``: limits of the child process that proves a release on this device."""

    memory_mb: int
    timeout_s: float
    latency_ratio: float


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
    config = Config(
        path=path,
        device=_device(fields.table("device"), folder),
        mqtt=_mqtt(fields.table("mqtt"), folder) if fields.has("mqtt") else None,
        repository=(
            _repository(fields.table("repository"), folder) if fields.has("repository") else None
        ),
        models=tuple(_model(item) for item in fields.tables("model", least=1)),
        cameras=tuple(_camera(item, folder) for item in fields.tables("camera")),
        gate=_gate(fields.table("gate", optional=True)),
        drift=_drift(fields.table("drift", optional=True)),
        metrics=_metrics(fields.table("metrics", optional=True)),
        selftest=_selftest(fields.table("selftest", optional=True)),
    )
    _check_names(fields, config)
    fields.close()
    if fields.faults:
        raise ConfigError(f"{path}: " + "; ".join(fields.faults))
    return config


def _path(fields: Fields, name: str, folder: Path) -> Path | None:
    value = fields.text(name, None) if fields.has(name) else ""
    return folder / value if value else None


def _device(fields: Fields, folder: Path) -> Device:
    layout = Layout(
        data=folder / fields.text("data", "/var/lib/outpost"),
        run=folder / fields.text("run", "/run/outpost"),
    )
    device = Device(fields.text("id", pattern=DEVICE_PATTERN), fields.mapping("tags"), layout)
    fields.close()
    return device


def _url(fields: Fields, schemes: tuple[str, ...]) -> str:
    url = fields.text("url")
    if url and urlsplit(url).scheme not in schemes:
        fields.fault("url", f'"{url}" should begin with one of {", ".join(schemes)}://')
    return url


def _mqtt(fields: Fields, folder: Path) -> Mqtt:
    mqtt = Mqtt(
        url=_url(fields, ("mqtt", "mqtts")),
        ca=_path(fields, "ca", folder),
        cert=_path(fields, "cert", folder),
        key=_path(fields, "key", folder),
        username=fields.text("username", ""),
        password_file=_path(fields, "password_file", folder),
        keepalive_s=fields.integer("keepalive_s", 30, least=5, most=3600),
    )
    fields.close()
    return mqtt


def _repository(fields: Fields, folder: Path) -> Repository:
    repository = Repository(
        url=_url(fields, ("https", "http", "file")),
        root=folder / fields.text("root", "root.json"),
        poll_s=fields.number("poll_s", 60.0, least=0.1),
    )
    fields.close()
    return repository


def _model(fields: Fields) -> Model:
    providers = fields.texts("providers", ("cpu",), least=1)
    for name in providers:
        if name not in PROVIDERS:
            fields.fault("providers", f'"{name}" is not one of {", ".join(PROVIDERS)}')
    model = Model(
        name=fields.text("name", pattern=NAME_PATTERN),
        group=fields.text("group", "default", pattern=NAME_PATTERN),
        variant=fields.text("variant", "auto"),
        providers=providers,
        fallback=fields.text("fallback", "refuse", choices=FALLBACKS),
        threads=fields.integer("threads", 0, least=0, most=256),
    )
    fields.close()
    return model


def _source(text: str, folder: Path) -> str:
    """The source with a file's or folder's relative path made relative to the configuration."""
    scheme, colon, rest = text.partition(":")
    if scheme not in ("file", "dir") or not rest or rest.startswith("?"):
        return text
    return f"{scheme}{colon}{folder / rest}"


def _camera(fields: Fields, folder: Path) -> Camera:
    camera = Camera(
        id=fields.text("id", pattern=DEVICE_PATTERN),
        source=_source(fields.text("source"), folder),
        model=fields.text("model"),
        policy=fields.text("policy", "drop-oldest", choices=POLICIES),
        queue=fields.integer("queue", 2, least=1, most=1024),
    )
    fields.close()
    return camera


def _gate(fields: Fields) -> Gate:
    gate = Gate(
        enabled=fields.boolean("enabled", True),
        action=fields.text("action", "skip", choices=("skip", "flag")),
        ssim_min=fields.number("ssim_min", least=-1.0, most=1.0)
        if fields.has("ssim_min")
        else None,
        width=fields.integer("width", 160, least=32, most=8192),
        raise_after=fields.integer("raise_after", 5, least=1),
        clear_after=fields.integer("clear_after", 10, least=1),
    )
    fields.close()
    return gate


def _drift(fields: Fields) -> Drift:
    drift = Drift(
        psi_max=fields.number("psi_max", 0.25, least=0.0),
        min_frames=fields.integer("min_frames", 300, least=1),
        correlated_frames=fields.integer("correlated_frames", 10, least=1),
    )
    fields.close()
    return drift


def _metrics(fields: Fields) -> Metrics:
    metrics = Metrics(
        window_s=fields.number("window_s", 10.0, least=0.1, most=3600.0),
        outbox_max_mb=fields.number("outbox_max_mb", 64.0, least=0.1),
        detections=fields.boolean("detections", False),
    )
    fields.close()
    return metrics


def _selftest(fields: Fields) -> SelfTest:
    selftest = SelfTest(
        memory_mb=fields.integer("memory_mb", 1024, least=64),
        timeout_s=fields.number("timeout_s", 120.0, least=1.0),
        latency_ratio=fields.number("latency_ratio", 3.0, least=1.0),
    )
    fields.close()
    return selftest


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
