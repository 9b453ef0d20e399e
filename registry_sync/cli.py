"""The command `registry-sync`: the updater on a device, and rollouts for the fleet.

Exit codes are those of edge_agent.errors; `run --once` also ends with 1 when a release was refused
or went back.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_agent import __version__
from edge_agent.console import debug_option, run_cli, table
from registry_sync.cli_rollout import fleet_rollback, keys_option, repo_option, rollout

if TYPE_CHECKING:
    from edge_agent.config import Config

config_option = click.option(
    "-c",
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    default=Path("/etc/outpost/agent.toml"),
    show_default=True,
    help="The device's agent.toml.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
model_option = click.option("--model", help="Which model, when the device has several.")


@click.group(name="registry-sync")
@click.version_option(__version__, prog_name="registry-sync")
@debug_option
def cli() -> None:
    """Bring releases to devices, prove them there, and go back by itself when one is bad."""


cli.add_command(rollout)


@cli.command()
@config_option
@click.option("--once", is_flag=True, help="One look; ends when nothing is on the way.")
@click.pass_context
def run(context: click.Context, config_path: Path, once: bool) -> None:
    """Run the updater of this device."""
    from edge_agent.slots import Journal
    from registry_sync.device.run import (
        Runner,
        make_client,
        stop_on_signals,
        updater_lock,
    )
    from registry_sync.device.steps import World

    config = _load(config_path)
    stop_on_signals()
    with updater_lock(config.layout):
        journal = Journal(config.layout.journal)
        try:
            client = make_client(config, journal)
            runner = Runner(client, World(config, journal, client, _say))
            if not once:
                _say(f"updating {', '.join(m.name for m in config.models)} from {client.url}")
                runner.run()
            context.exit(runner.once())
        finally:
            journal.close()


@cli.command()
@config_option
@json_option
def status(config_path: Path, as_json: bool) -> None:
    """What runs here, what is on trial, what is banned."""
    from registry_sync.device import operate

    config = _load(config_path)
    found = operate.status(config, operate.open_journal(config))
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    rows = [
        [item["model"], item["state"], item["version"] or None, item["previous_version"] or None,
         item["revision"], item["reason"]]
        for item in found["models"]
    ]  # fmt: skip
    click.echo(table(["model", "state", "version", "previous", "revision", "reason"], rows))
    if found["banned"]:
        bans = [[item["model"], item["version"], item["reason"]] for item in found["banned"]]
        click.echo("\n" + table(["banned", "version", "reason"], bans))


@cli.command()
@config_option
@model_option
@json_option
def history(config_path: Path, model: str | None, as_json: bool) -> None:
    """Every transition with its reason, oldest first."""
    from registry_sync.device import operate

    config = _load(config_path)
    rows = operate.history(operate.open_journal(config), model)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    click.echo(
        table(["when", "model", "version", "from", "to", "reason"], [_line(r) for r in rows])
    )


@cli.command()
@config_option
@model_option
@click.option("--reason", default="asked for on the device", help="Why, for the log.")
@click.option("--group", help="Instead of this device: a whole group, by a signed document.")
@click.option(
    "--to",
    "version",
    type=int,
    help="With --group: version to go back to [the one rolled out before].",
)
@click.option("--gate", multiple=True, metavar="NAME=VALUE", help="With --group: trial limits.")
@repo_option(required=False)
@keys_option
@json_option
def rollback(
    config_path: Path, model: str | None, reason: str, group: str | None, version: int | None,
    gate: tuple[str, ...], repo: Path | None, keys: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Go back to the release before: on this device, or with --group everywhere.

    On a device the release that is left is banned until `unban`.
    """
    from edge_agent.errors import UsageError

    if group is not None:
        fleet_rollback(group, version, gate, repo, keys, reason, as_json)
        return
    if repo or version or gate:
        raise UsageError("--repo, --to and --gate go with --group; a device goes back to the last")
    from registry_sync.device import operate

    config = _load(config_path)
    journal = operate.open_journal(config)
    name = operate.pick_model(config, model)
    said = operate.roll_back(config, journal, name, reason, _say)
    found = operate.status(config, journal)
    click.echo(json.dumps(found, indent=2) if as_json else said)


@cli.command()
@config_option
@model_option
@click.argument("version", type=int)
def unban(config_path: Path, model: str | None, version: int) -> None:
    """Let a banned VERSION be installed again."""
    from registry_sync.device import operate

    config = _load(config_path)
    name = operate.pick_model(config, model)
    click.echo(operate.unban(operate.open_journal(config), name, version))


def _load(path: Path) -> Config:
    from edge_agent.config import load

    return load(path)


def _line(row: dict[str, Any]) -> list[Any]:
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row["at"]))
    return [moment, row["model"], row["version"] or None, row["from"], row["to"], row["reason"]]


def _say(text: str) -> None:
    click.echo(f"{time.strftime('%H:%M:%S')} {text}", err=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run_cli(cli, argv)
