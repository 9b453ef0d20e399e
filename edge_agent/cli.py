"""`edge-agent`: parses, wires, sets the exit code. Heavy modules are imported by the commands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from edge_agent import __version__
from edge_agent.console import debug_option, run_cli

DEFAULT_CONFIG = Path("/etc/outpost/agent.toml")
_FILE = click.Path(path_type=Path)
config_option = click.option(
    "-c",
    "--config",
    "config_path",
    type=_FILE,
    default=DEFAULT_CONFIG,
    show_default=True,
    help="The device's agent.toml.",
)


@click.group(name="edge-agent")
@click.version_option(__version__, message="%(prog)s %(version)s")
@debug_option
def cli() -> None:
    """Outpost's agent: cameras in, judged frames and telemetry out."""


@cli.command()
@config_option
@click.option("--bundle", type=_FILE, help="Run this bundle's folder, without registry-sync.")
@click.option(
    "--telemetry",
    metavar="KIND[:ARG]",
    help="mqtt, log, log:FILE or log:- for stdout; mqtt where the config has a broker, else log.",
)
@click.option(
    "--page",
    metavar="ADDRESS:PORT",
    help="Show a page for browsers there, like 127.0.0.1:8800; off when [page] has no address.",
)
def run(config_path: Path, bundle: Path | None, telemetry: str | None, page: str | None) -> None:
    """Run the agent until SIGTERM, Ctrl-C, or the end of every source."""
    from edge_agent import config
    from edge_agent.errors import UsageError
    from edge_agent.loop import run

    try:
        address = config.Address.parse(page) if page is not None else None
    except ValueError as error:
        raise UsageError(f"--page {error}") from None
    run.run(config.load(config_path), bundle=bundle, sink=telemetry, page=address)


@cli.command()
@config_option
@click.option("--camera", help="Which [[camera]]; needed where there are several.")
@click.option("--minutes", type=click.FloatRange(0.05, 1440), help="Look at the camera so long.")
@click.option("--images", type=_FILE, help="Learn from the pictures of this folder instead.")
@click.option(
    "--name",
    metavar="NAME",
    help="Add a reference (night, product-b), or renew it; without a name all is learnt anew.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was learnt as JSON.")
def calibrate(
    config_path: Path,
    camera: str | None,
    minutes: float | None,
    images: Path | None,
    name: str | None,
    as_json: bool,
) -> None:
    """Learn from good frames what is usual for a camera; the input check then knows it."""
    from edge_agent import config
    from edge_agent.commands import calibrate

    calibrate.run(
        config.load(config_path),
        camera=camera,
        minutes=minutes,
        images=images,
        name=name,
        in_json=as_json,
        tell=lambda text: click.echo(text, err=True),
        echo=click.echo,
    )


@cli.command()
@click.argument("bundle", type=_FILE)
@click.argument("images", type=_FILE, nargs=-1, required=True)
@click.option("--confidence", type=float, help="Least score shown; the bundle's when absent.")
@click.option("--json", "as_json", is_flag=True, help="Print boxes per file as JSON.")
@click.option("--save", type=_FILE, help="Write the pictures with boxes drawn into this folder.")
def detect(
    bundle: Path,
    images: tuple[Path, ...],
    confidence: float | None,
    as_json: bool,
    save: Path | None,
) -> None:
    """Try a bundle on pictures."""
    from edge_agent.commands import detect

    detect.run(bundle, images, confidence=confidence, as_json=as_json, save=save, echo=click.echo)


@cli.command()
@click.argument("images", type=_FILE, nargs=-1, required=True)
@click.option("--reference", type=_FILE, required=True, help="The picture to compare with.")
@click.option(
    "--metric", "metrics", default="ssim,gmsd,vif", show_default=True,
    help="With commas: ssim, ssim-uniform, ms-ssim, mc-ssim, 3-ssim, g-ssim, uqi, gmsm, gmsd, vif,"
    " iw-ssim, fsim, fsimc, vsi, mad, nqm, dscsi; or all.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the scores per file as JSON.")
def quality(images: tuple[Path, ...], reference: Path, metrics: str, as_json: bool) -> None:
    """Score pictures against a reference with the metrics of docs/quality.md."""
    from edge_agent.commands import quality

    quality.run(reference, images, metrics=metrics, as_json=as_json, echo=click.echo)


@cli.command()
@click.option("-c", "--config", "config_path", type=_FILE, help="The device's agent.toml.")
@click.option("--bundle", type=_FILE, help="Also look at this bundle's folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.pass_context
def doctor(
    context: click.Context, config_path: Path | None, bundle: Path | None, as_json: bool
) -> None:
    """Explain what is wrong with a config, a camera, a broker, a bundle; exit code 1 if so."""
    from edge_agent.commands import doctor, finding

    if config_path is None and bundle is None:
        config_path = DEFAULT_CONFIG
    findings = doctor.examine(config_path, bundle)
    click.echo(finding.as_json(findings) if as_json else finding.as_text(findings))
    context.exit(1 if any(found.level == "fail" for found in findings) else 0)


@cli.command()
@click.option("-o", "--output", type=_FILE, default=Path("agent.toml"), show_default=True)
@click.option("--device-id", help="Lower-case letters, digits and dashes; the host's when absent.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def init(output: Path, device_id: str | None, force: bool) -> None:
    """Write an annotated configuration."""
    from edge_agent.commands import template

    template.write(output, device_id, force=force)
    click.echo(f"wrote {output}; edit it, then: edge-agent doctor -c {output}")


@cli.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print the health file as it is.")
@click.pass_context
def status(context: click.Context, config_path: Path, as_json: bool) -> None:
    """Show what the agent runs and its last window; exit code 1 when it is not alive."""
    from edge_agent import config
    from edge_agent.commands import status

    report = status.read(config.load(config_path))
    click.echo(report.as_json() if as_json else report.as_text())
    context.exit(0 if report.alive else 1)


@cli.group()
def captures() -> None:
    """Look at kept frames, take them away for relabelling, remove them."""


def _which(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say which captures."""
    for option in reversed(
        (
            config_option,
            click.option("--dir", "folder", type=_FILE, help="A folder of captures, e.g. a copy."),
            click.option("--reason", default="", help="Only those kept for this reason."),
            click.option("--camera", default="", help="Only those of this camera."),
            click.option("--model", default="", help="Only those of this model."),
            click.option("--since", metavar="WHEN", help="90m, 2h, 3d or 2026-11-24T13:30."),
            click.option("--until", metavar="WHEN", help="The same."),
        )
    ):
        command = option(command)
    return command


@captures.command("list")
@_which
@click.option("--json", "as_json", is_flag=True, help="Print everything that is known as JSON.")
def list_captures(as_json: bool, **which: Any) -> None:
    """List kept frames, oldest first."""
    from edge_agent.commands import captures

    captures.show(*captures.chosen(**which), as_json=as_json, echo=click.echo, warn=_warn)


@captures.command()
@_which
@click.option(
    "--format",
    "kind",
    type=click.Choice(["yolo", "coco", "label-studio", "makesense"]),
    required=True,
    help="The tool that shall import it.",
)
@click.option(
    "-o", "--output", type=_FILE, required=True, help="A new folder, or a new file NAME.zip."
)
@click.option("--confidence", type=float, help="Least score of a box; the model's when absent.")
@click.option("--picture-url", help="For label-studio: the address before each picture's name.")
def export(
    kind: str, output: Path, confidence: float | None, picture_url: str | None, **which: Any
) -> None:
    """Write kept frames as a data set, with the model's own boxes to begin with."""
    from edge_agent.commands import captures

    captures.export(
        *captures.chosen(**which),
        output,
        kind=kind,
        confidence=confidence,
        picture_url=picture_url,
        echo=click.echo,
        warn=_warn,
    )


@captures.command()
@click.argument("numbers", type=int, nargs=-1)
@_which
@click.option("--all", "everything", is_flag=True, help="Remove every one that is named.")
def remove(numbers: tuple[int, ...], everything: bool, **which: Any) -> None:
    """Remove kept frames, by NUMBERS or by what the options say."""
    from edge_agent.commands import captures

    captures.discard(
        *captures.chosen(numbers=numbers, **which),
        everything=everything,
        echo=click.echo,
        warn=_warn,
    )


@cli.group()
def alerts() -> None:
    """Look at the alerts that stand, and say that you took note."""


@alerts.command("list")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print everything that is known as JSON.")
def list_alerts(config_path: Path, as_json: bool) -> None:
    """List active alerts, the worst first."""
    from edge_agent import config
    from edge_agent.commands import alerts

    alerts.show(config.load(config_path), as_json=as_json, echo=click.echo)


@alerts.command()
@click.argument("number", type=int)
@config_option
@click.option("--by", default="", help="Who takes note; the login name when absent.")
def ack(number: int, config_path: Path, by: str) -> None:
    """Acknowledge the alert NUMBER; it stays active until what raised it is over."""
    from edge_agent import config
    from edge_agent.commands import alerts

    alerts.acknowledge(config.load(config_path), number, by, echo=click.echo)


@cli.group()
def feedback() -> None:
    """Say what is right, wrong or missed, and see precision and recall."""


def _verdict(name: str, sentence: str) -> None:
    """One of the commands that keep a verdict."""

    @feedback.command(name, help=sentence)
    @config_option
    @click.option(
        "--frame",
        metavar="CAMERA/BOOT/SEQ",
        required=True,
        help="As in the sidecars of captures and in up/detections.",
    )
    @click.option("--class", "name", default="", metavar="NAME", help="Of the detection or object.")
    @click.option("--box", default="", metavar="X0,Y0,X1,Y1", help="Where it is, in pixels.")
    @click.option("--actual", default="", metavar="NAME", help="With wrong: what it is in truth.")
    @click.option("--by", default="", metavar="NAME", help="Who says so.")
    def command(config_path: Path, **said: Any) -> None:
        from edge_agent.commands import feedback

        feedback.say(config_path, name, **said, echo=click.echo)


_verdict(
    "right", "These detections are right: all of the frame, or those of a class or near a box."
)
_verdict(
    "wrong", "These detections are wrong: all of the frame, or those of a class or near a box."
)
_verdict("missed", "There is an object of a class that the device did not report.")


@feedback.command("import")
@click.argument("folder", type=_FILE)
@config_option
@click.option("--captures", type=_FILE, help="Where the captures lie; the device's when absent.")
def import_labels(folder: Path, config_path: Path, captures: Path | None) -> None:
    """Take corrected boxes of exported captures in: a FOLDER in YOLO or COCO format."""
    from edge_agent.commands import feedback

    feedback.bring(config_path, folder, captures, echo=click.echo, warn=_warn)


@feedback.command("report")
@config_option
@click.option(
    "--by",
    type=click.Choice(("camera", "shift", "time", "version")),
    help="Show each slice with its classes and its confusions; time is time of day.",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def show_report(config_path: Path, by: str | None, as_json: bool) -> None:
    """Precision, recall and confusion per class and slice, with confidence intervals."""
    from edge_agent.commands import feedback

    feedback.show(config_path, by=by or "", as_json=as_json, echo=click.echo)


def _warn(text: str) -> None:
    click.echo(text, err=True)


def main(argv: Sequence[str] | None = None) -> int:
    """The only exit point; returns the exit code (edge_agent.errors)."""
    return run_cli(cli, argv)
