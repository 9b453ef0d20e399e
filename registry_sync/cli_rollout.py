"""`registry-sync rollout …`: the operator's commands; each signs one new document."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_agent.console import table
from edge_agent.errors import UsageError

if TYPE_CHECKING:
    from edge_agent.release.repo import ReleaseRepository
    from registry_sync.rollout import Rollout

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
_path = click.Path(path_type=Path)
group_option = click.option("--group", required=True, help="Group of devices.")
reason_option = click.option("--reason", default="", help="Why, for the log.")
json_option = click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")


keys_option = click.option(
    "--keys", type=_path, help="Folder of your keys [OUTPOST_KEYS, or keys beside REPO]."
)


def repo_option(*, required: bool) -> Decorator:
    """``--repo DIR``, or OUTPOST_REPO."""
    return click.option(
        "--repo",
        type=_path,
        required=required,
        envvar="OUTPOST_REPO",
        help="Release repository [OUTPOST_REPO].",
    )


@click.group()
def rollout() -> None:
    """Say which release a group of devices should run."""


@rollout.command()
@click.argument("model")
@click.argument("version", type=int)
@group_option
@repo_option(required=True)
@keys_option
@click.option("--waves", default="100%", show_default=True, help="Shares, like 10%,50%,100%.")
@click.option("--soak", default="0s", show_default=True, help="Time between waves, like 30m.")
@click.option("--gate", multiple=True, metavar="NAME=VALUE", help="Trial limits: trial_s=300.")
@click.option("--only", multiple=True, metavar="TAG=VALUE", help="Only devices with this tag.")
@reason_option
@json_option
def start(
    model: str, version: int, group: str, repo: Path, keys: Path | None, waves: str, soak: str,
    gate: tuple[str, ...], only: tuple[str, ...], reason: str, as_json: bool,
) -> None:  # fmt: skip
    """Roll out VERSION of MODEL to a group."""
    from registry_sync.fleet import rollouts

    document = rollouts.start(
        _open(repo, keys),
        model,
        version,
        group,
        waves=rollouts.parse_waves(waves, soak),
        gate=rollouts.parse_gate(gate),
        selector=rollouts.parse_selector(only),
        reason=reason,
    )
    _show(document, as_json)


def _state_command(name: str, state: str, text: str) -> None:
    @rollout.command(name=name, help=text)
    @group_option
    @repo_option(required=True)
    @keys_option
    @reason_option
    @json_option
    def command(group: str, repo: Path, keys: Path | None, reason: str, as_json: bool) -> None:
        from registry_sync.fleet import rollouts

        _show(rollouts.change_state(_open(repo, keys), group, state, reason), as_json)


_state_command("pause", "paused", "Let no further device begin.")
_state_command("resume", "running", "Go on with a paused rollout.")
_state_command("abort", "aborted", "End a rollout; devices on trial go back.")


@rollout.command()
@group_option
@repo_option(required=True)
@keys_option
@reason_option
@json_option
def advance(group: str, repo: Path, keys: Path | None, reason: str, as_json: bool) -> None:
    """Open the next wave."""
    from registry_sync.fleet import rollouts

    _show(rollouts.advance(_open(repo, keys), group, reason), as_json)


@rollout.command(name="status")
@click.option("--group", help="Only this group.")
@repo_option(required=True)
@json_option
def rollout_status(group: str | None, repo: Path, as_json: bool) -> None:
    """What each group is asked to run."""
    from edge_agent.release.repo import ReleaseRepository
    from registry_sync.fleet import rollouts

    repository = ReleaseRepository.open(repo)
    groups = [group] if group else repository.groups()
    found = [rollouts.existing(repository, name) for name in groups]
    if as_json:
        click.echo(json.dumps([json.loads(item.to_bytes()) for item in found], indent=2))
        return
    rows = [
        [item.group, item.model, item.release, item.state, f"{item.open_share:.0%}",
         item.revision, item.issued, item.reason]
        for item in found
    ]  # fmt: skip
    titles = ["group", "model", "version", "state", "open", "revision", "issued", "reason"]
    click.echo(table(titles, rows))


def fleet_rollback(
    group: str, version: int | None, gate: tuple[str, ...], repo: Path | None, keys: Path | None,
    reason: str, as_json: bool,
) -> None:  # fmt: skip
    """`registry-sync rollback --group`: sign that a group goes back."""
    from registry_sync.fleet import rollouts

    if repo is None:
        raise UsageError("rollback --group needs --repo, or OUTPOST_REPO")
    repository = _open(repo, keys)
    base = rollouts.existing(repository, group).gate
    document = rollouts.roll_back(
        repository,
        group,
        to=version,
        gate=rollouts.parse_gate(gate, base),
        reason="" if reason == "asked for on the device" else reason,
    )
    _show(document, as_json)


def _open(repo: Path, keys: Path | None) -> ReleaseRepository:
    from edge_agent.release.keys import default_keys
    from edge_agent.release.repo import ReleaseRepository

    return ReleaseRepository.open(repo, keys or default_keys(repo))


def _show(document: Rollout, as_json: bool) -> None:
    if as_json:
        click.echo(document.to_bytes().decode(), nl=False)
        return
    click.echo(
        f"{document.group}: {document.model} {document.release} ({document.digest[:12]}…),"
        f" {document.state}, open to {document.open_share:.0%}, revision {document.revision} signed"
    )
