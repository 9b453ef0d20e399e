"""What a variant may lose. The defaults are the project's; ``--config FILE`` changes them::

[limits.fp16]
map_loss = 0.2        # points of mAP50-95 (0..100), where there are labels
agreement = 0.98      # least share of reported boxes with a partner
score_drift = 0.01    # largest mean score change of a class
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import tomllib

from edge_agent.bundle import PRECISIONS, Tolerance
from edge_agent.checked import Fields
from edge_agent.errors import ConfigError


@dataclass(frozen=True)
class Limits:
    """The gate of one precision (see this module)."""

    map_loss: float
    agreement: float
    score_drift: float


DEFAULTS: Mapping[str, Limits] = {
    "fp16": Limits(map_loss=0.2, agreement=0.98, score_drift=0.01),
    "int8": Limits(map_loss=1.0, agreement=0.9, score_drift=0.08),
    "int8-cpu": Limits(map_loss=1.0, agreement=0.9, score_drift=0.08),
}

RUNGS: Mapping[str, tuple[Tolerance, ...]] = {
    "fp16": (Tolerance(0.98, 0.005), Tolerance(0.97, 0.01), Tolerance(0.95, 0.02)),
    "int8": (
        Tolerance(0.95, 0.03),
        Tolerance(0.9, 0.05),
        Tolerance(0.8, 0.1),
        Tolerance(0.7, 0.15),
        Tolerance(0.6, 0.2),
    ),
}
"""Golden tolerances, tightest first. The bundle takes the one after the first that holds here, for
other processors round otherwise; a variant that needs the last one already is another model."""


def rungs(precision: str) -> tuple[Tolerance, ...]:
    """The golden tolerances that a precision may have, tightest first."""
    return RUNGS["fp16" if precision == "fp16" else "int8"]


def read_limits(path: Path | None) -> Mapping[str, Limits]:
    """The limits per precision, with those of a TOML file in the place of the defaults.

    Raises:
        ConfigError: listing every fault of the file.
    """
    if path is None:
        return DEFAULTS
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML ({error})") from None
    # Plain values beside the table are options of the command: builder.config_file.
    fields = Fields({key: one for key, one in document.items() if isinstance(one, dict)})
    limits = dict(DEFAULTS)
    if fields.has("limits"):
        tables = fields.table("limits")
        for name in tables.names():
            if name not in limits:
                known = ", ".join(limits)
                tables.fault(name, f"there are limits for {known} (of {', '.join(PRECISIONS)})")
                continue
            limits[name] = _read(tables.table(name), limits[name])
    fields.close()
    if fields.faults:
        raise ConfigError(f"{path}: " + "; ".join(fields.faults))
    return limits


def _read(fields: Fields, default: Limits) -> Limits:
    limits = Limits(
        map_loss=fields.number("map_loss", default.map_loss, least=0.0, most=100.0),
        agreement=fields.number("agreement", default.agreement, least=0.0, most=1.0),
        score_drift=fields.number("score_drift", default.score_drift, least=0.0, most=1.0),
    )
    fields.close()
    return limits
