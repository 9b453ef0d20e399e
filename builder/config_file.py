"""``--config FILE``: a command's options in a TOML file, as strict as the command line.

Keys are the options' long names without dashes in front (``reference-data``); what the command line
says goes before. Relative paths are relative to the file. Tables belong to other readers
(``[limits.int8]``: `builder.accuracy.limits`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import tomllib

from edge_agent.checked import Fields
from edge_agent.errors import ConfigError

MOST_BYTES = 1 << 20


def apply_config(context: click.Context, _: click.Parameter, path: Path | None) -> Path | None:
    """The callback of an eager ``--config``: the file's values become the options' defaults.

    Raises:
        ConfigError: listing every fault of the file.
    """
    if path is not None:
        values = read_options(path, context.command.params)
        context.default_map = {**(context.default_map or {}), **values}
    return path


def read_options(path: Path, parameters: Sequence[click.Parameter]) -> dict[str, Any]:
    """Read a file as values for a command's options.

    Args:
        path: of the TOML file.
        parameters: of the command.

    Returns:
        Parameter name -> value.

    Raises:
        ConfigError: listing every fault; unknown keys with the nearest known one.
    """
    document = _parse(path)
    plain = {key: one for key, one in document.items() if not isinstance(one, dict)}
    if isinstance(size := plain.get("imgsz"), int):
        plain["imgsz"] = str(size)  # on the command line, too, 640 and 384x640 are texts
    fields = Fields(plain)
    values: dict[str, Any] = {}
    for parameter in parameters:
        if isinstance(parameter, click.Option) and parameter.name != "as_json":
            key = max(parameter.opts, key=len).lstrip("-")
            if key != "config" and fields.has(key):
                values[str(parameter.name)] = _value(fields, key, parameter, path.parent)
    fields.close()
    if fields.faults:
        raise ConfigError(f"{path}: {'; '.join(fields.faults)}")
    return values


def _parse(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ConfigError(f"{path}: has more than {MOST_BYTES} bytes")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; name a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: not TOML ({error})") from None


def _value(fields: Fields, key: str, option: click.Option, folder: Path) -> Any:
    kind = option.type
    if option.is_flag:
        return fields.boolean(key)
    if isinstance(kind, click.Choice):
        return fields.text(key, choices=[str(choice) for choice in kind.choices])
    if isinstance(kind, (click.IntRange, type(click.INT))):
        least, most = (getattr(kind, name, None) for name in ("min", "max"))
        return fields.integer(key, least=least, most=most)
    if isinstance(kind, type(click.FLOAT)):
        return fields.number(key)
    text = fields.text(key)
    return folder / text if isinstance(kind, click.Path) else text
