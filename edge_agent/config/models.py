"""What runs and what it looks at: ``[[model]]``, ``[[camera]]`` and ``[selftest]``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edge_agent.bundle import NAME_PATTERN
from edge_agent.checked import Fields, nearest
from edge_agent.metrics import DEVICE_PATTERN
from edge_agent.sources import kind_of
from edge_agent.sources.base import POLICIES

PROVIDERS = ("tensorrt-native", "tensorrt-rtx", "tensorrt", "cuda", "cpu")
"""As in `edge_agent.backends`, which is not imported for the names alone: it needs NumPy."""
COMPILING = ("tensorrt-native", "tensorrt-rtx", "tensorrt")
"""Of these, those that compile an engine on the first load: minutes on a small board."""

CAPTURES = ("auto", "process", "thread")
FALLBACKS = ("refuse", "allow")
LIVE_STALL_S = 10.0  # a camera that is silent is in trouble; a recording may be


@dataclass(frozen=True)
class Model:
    """``[[model]]``: one model that this device runs, and on what.

    Attributes:
        providers: wanted order, names of `PROVIDERS`; the first is the wanted one.
        fallback: ``refuse`` fails when the wanted provider is not active, ``allow`` reports it.
        threads: threads of the CPU provider, 0 for all cores.
        reserve_mb: memory (10^6 bytes) that stays free when a release is loaded beside another.
        thresholds: class name -> score above which it is reported, for classes that differ from
            the manifest's confidence; the names are held against each release.
    """

    name: str
    group: str
    variant: str
    providers: tuple[str, ...]
    fallback: str
    threads: int
    reserve_mb: float = 64.0
    thresholds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Camera:
    """``[[camera]]``: one source of frames and the model that looks at it.

    Attributes:
        source: ``file:clip.mp4?loop=1&fps=10``, ``rtsp://…``; the table is edge_agent.sources.
        policy: what happens when the model is slower than the camera, one of `POLICIES`.
        queue: frames that may wait.
        capture: where it is read, one of `CAPTURES`; ``auto`` reads what may hang in a process.
        stall_s: seconds without a frame after which the source is started again, 0 for never.
        restarts_per_hour: how often at most, in the long run.
    """

    id: str
    source: str
    model: str
    policy: str
    queue: int
    capture: str
    stall_s: float
    restarts_per_hour: float


@dataclass(frozen=True)
class SelfTest:
    """``[selftest]``: limits of the child process that proves a release on this device.

    Attributes:
        build_s: added to ``timeout_s`` for a model with one of the providers of `COMPILING`.
    """

    memory_mb: int
    timeout_s: float
    latency_ratio: float
    build_s: float = 3600.0


def parse_model(fields: Fields) -> Model:
    """Read ``[[model]]``; faults are noted in ``fields``."""
    providers = fields.texts("providers", ("cpu",), least=1)
    for name in providers:
        if name not in PROVIDERS:
            known = ", ".join(PROVIDERS)
            hint = nearest(name, PROVIDERS)
            fields.fault("providers", f'"{name}" is not one of {known}{hint}')
    model = Model(
        name=fields.text("name", pattern=NAME_PATTERN),
        group=fields.text("group", "default", pattern=NAME_PATTERN),
        variant=fields.text("variant", "auto"),
        providers=providers,
        fallback=fields.text("fallback", "refuse", choices=FALLBACKS),
        threads=fields.integer("threads", 0, least=0, most=256),
        reserve_mb=fields.number("reserve_mb", 64.0, least=0.0),
        thresholds=_thresholds(fields.table("thresholds", optional=True)),
    )
    fields.close()
    return model


def _thresholds(fields: Fields) -> dict[str, float]:
    return {name: fields.number(name, least=0.0, most=1.0) for name in fields.names()}


def _source(text: str, folder: Path) -> str:
    """The source with a file's or folder's relative path made relative to the configuration."""
    scheme, colon, rest = text.partition(":")
    if scheme not in ("file", "dir") or not rest or rest.startswith("?"):
        return text
    return f"{scheme}{colon}{folder / rest}"


def parse_camera(fields: Fields, folder: Path) -> Camera:
    """Read ``[[camera]]``; faults are noted in ``fields``."""
    source = _source(fields.text("source"), folder)
    stall_s = LIVE_STALL_S if kind_of(source).live else 0.0
    camera = Camera(
        id=fields.text("id", pattern=DEVICE_PATTERN),
        source=source,
        model=fields.text("model"),
        policy=fields.text("policy", "drop-oldest", choices=POLICIES),
        queue=fields.integer("queue", 2, least=1, most=1024),
        capture=fields.text("capture", "auto", choices=CAPTURES),
        stall_s=fields.number("stall_s", stall_s, least=0.0, most=86400.0),
        restarts_per_hour=fields.number("restarts_per_hour", 60.0, least=1.0, most=3600.0),
    )
    fields.close()
    return camera


def parse_selftest(fields: Fields) -> SelfTest:
    """Read ``[selftest]``; faults are noted in ``fields``."""
    selftest = SelfTest(
        memory_mb=fields.integer("memory_mb", 1024, least=64, most=1_000_000),
        timeout_s=fields.number("timeout_s", 120.0, least=1.0, most=86_400.0),
        latency_ratio=fields.number("latency_ratio", 3.0, least=1.0, most=1000.0),
        build_s=fields.number("build_s", 3600.0, least=0.0, most=604_800.0),
    )
    fields.close()
    return selftest
