"""``edge-builder watch``: from a promoted alias to a published release, without hands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from builder.options import BuildOptions
    from builder.watch import Watcher

_PATH = click.Path(path_type=Path)
_OWN = ("source", "output", "as_json", "model_version", "tracking_uri")
_OF_NO_USE = ("engine", "compute_capability")
"""Engines are not published, and the bundle is gone once that is."""


def watch_command(build: click.Command, options: Callable[..., BuildOptions]) -> click.Command:
    """The command, which takes the options of ``build`` too.

    Args:
        build: the command of that name.
        options: turns its parameters into options of a build.
    """
    inherited = [one for one in build.params if one.name not in (*_OWN, *_OF_NO_USE)]
    names = {one.name for one in inherited}

    def run(**given: Any) -> None:
        taken = {name: given.pop(name) for name in list(given) if name in names}
        build_options = options(model_version=None, **dict.fromkeys(_OF_NO_USE), **taken)
        code = _watch(build_options, **given)
        if code:
            click.get_current_context().exit(code)

    return click.Command("watch", params=[*_own(), *inherited], callback=run, help=_HELP)


_HELP = """Build and publish whenever SOURCE moves.

SOURCE is models:/NAME@ALIAS or models:/NAME/STAGE. The MLflow version gets the outcome as tags:
outpost.status (published, failed, superseded), outpost.error, outpost.digest, outpost.link. A
version that failed is left alone until another is promoted, or --retry. What happens is told in
one line per event on stdout.

Exit codes: with --once that of the failure, 10 when the registry does not answer; 130 Ctrl-C.
"""


def _own() -> list[click.Parameter]:
    return [
        click.Argument(["source"]),
        click.Option(["--repo"], type=_PATH, required=True, help="The release repository."),
        click.Option(
            ["--keys"], type=_PATH, help="Folder of the keys [OUTPOST_KEYS, or keys beside REPO]."
        ),
        click.Option(
            ["--tracking-uri"], help="MLflow [MLFLOW_TRACKING_URI, or sqlite:///mlflow.db]."
        ),
        click.Option(
            ["--work"], type=_PATH, help="Folder for its memory and work [watch beside REPO]."
        ),
        click.Option(["--site"], default="", help="Address of the served REPO, for links in tags."),
        click.Option(
            ["--poll"],
            type=click.FloatRange(1, 86400),
            default=60.0,
            show_default=True,
            help="Seconds between two looks.",
        ),
        click.Option(
            ["--listen"], metavar="HOST:PORT", help="Hear MLflow's webhooks; needs --secret-file."
        ),
        click.Option(["--secret-file"], type=_PATH, help="The webhook's secret."),
        click.Option(["--once"], is_flag=True, help="Do what there is to do, and end."),
        click.Option(["--retry"], is_flag=True, help="Try a version that failed once more."),
        click.Option(["--json", "as_json"], is_flag=True, help="Events as one JSON object each."),
    ]


def _watch(
    options: BuildOptions,
    *,
    source: str,
    repo: Path,
    keys: Path | None,
    tracking_uri: str | None,
    work: Path | None,
    site: str,
    poll: float,
    listen: str | None,
    secret_file: Path | None,
    once: bool,
    retry: bool,
    as_json: bool,
) -> int:
    from builder.preflight import check_options
    from builder.progress import Terminal
    from builder.sources.reference import parse_reference
    from builder.terminate import tidy_when_terminated
    from builder.watch.memory import alone
    from builder.watch.real import EventLines, MlflowPort, Workshop, check_keys
    from builder.watch.watcher import Plan, Watcher
    from edge_agent.errors import UsageError
    from edge_agent.release.keys import default_keys

    reference = parse_reference(source)
    if reference.version:
        raise UsageError(f"{source}: a version never moves; watch an alias or a stage")
    keys = keys or default_keys(repo)
    check_keys(repo, keys)
    check_options(options, source)
    folder = (work or repo.absolute().parent / "watch") / _slug(str(reference))
    with tidy_when_terminated(), alone(folder / "memory.json"):
        workshop = Workshop(
            reference.name, folder / "work", repo, keys, options, tracking_uri, site, Terminal()
        )
        watcher = Watcher(
            Plan(reference.name, poll), MlflowPort(reference, tracking_uri), workshop,
            folder / "memory.json", EventLines(as_json=as_json),
        )  # fmt: skip
        if retry:
            watcher.retry()
        try:
            if once:
                return watcher.run_once()
            _forever(watcher, listen, secret_file)
        finally:
            workshop.discard()
    return 0


def _slug(reference: str) -> str:
    """A reference as a folder's name."""
    from builder.sources.version import plain_name

    return plain_name(reference.removeprefix("models:/").replace("@", "-"))


def _forever(watcher: Watcher, listen: str | None, secret_file: Path | None) -> None:
    """Step until somebody ends the process; a webhook ends the pause."""
    import threading
    from contextlib import ExitStack

    from builder.watch.hook import listening, parse_address
    from edge_agent.errors import UsageError

    wake = threading.Event()
    with ExitStack() as stack:
        if listen is not None:
            if secret_file is None:
                raise UsageError("--listen needs --secret-file with the webhook's secret")
            stack.enter_context(listening(parse_address(listen), _secret(secret_file), wake.set))
        while True:
            wake.wait(watcher.step())
            wake.clear()


def _secret(path: Path) -> bytes:
    from edge_agent.errors import UsageError

    try:
        secret = path.read_bytes().strip()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; put the webhook's secret there") from None
    if len(secret) < 16:
        raise UsageError(f"{path}: a secret of at least 16 characters is needed")
    return secret
