"""`edge-agent`: parses, wires, sets the exit code. Heavy modules are imported by the commands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

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
def run(config_path: Path, bundle: Path | None, telemetry: str | None) -> None:
    """Run the agent until SIGTERM, Ctrl-C, or the end of every source."""
    from edge_agent import config
    from edge_agent.loop import run

    run.run(config.load(config_path), bundle=bundle, sink=telemetry)


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


def main(argv: Sequence[str] | None = None) -> int:
    """The only exit point; returns the exit code (edge_agent.errors)."""
    return run_cli(cli, argv)
