"""``edge-builder``: parse, wire, print. Heavy modules are imported by the command that needs them.

Exit codes are those of edge_agent.errors; ``publish`` ends with 10 when the release is published
but its MLflow version could not be tagged (run it again: it only completes the tags).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from builder.cli_dataset import dataset
from builder.cli_engine import ENGINES, compile_command
from builder.cli_look import diff, inspect
from builder.cli_sign import sign
from builder.cli_watch import watch_command
from builder.config_file import apply_config
from edge_agent import __version__
from edge_agent.console import debug_option, run_cli

if TYPE_CHECKING:
    from builder.build import Built
    from builder.options import BuildOptions

_PATH = click.Path(path_type=Path)
_BUNDLE = click.argument("bundle", type=_PATH)
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
_REPO = click.option("--repo", type=_PATH, required=True, help="The release repository's folder.")
_KEYS = click.option(
    "--keys", type=_PATH, help="Folder of the private keys [OUTPOST_KEYS, or keys beside REPO]."
)
_TRACKING = click.option(
    "--tracking-uri", help="MLflow [MLFLOW_TRACKING_URI, or sqlite:///mlflow.db]."
)


@click.group("edge-builder", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="edge-builder")
@debug_option
def cli() -> None:
    """Turn a promoted YOLOv5 model into a signed bundle for devices.

    Exit codes: 2 wrong call, 3 --config file, 4 bundle, 5 model, checkpoint or engine, 6 images
    or labels, 8 disk, 9 release repository, 10 MLflow registry, 130 Ctrl-C.
    """


@cli.command()
@click.argument("source")
@click.option("-o", "--output", type=_PATH, required=True, help="Folder of the bundle.")
@_TRACKING
@click.option("--imgsz", help="640, or height x width like 384x640 [as in training].")
@click.option("--reference-data", type=_PATH, help="Folder of validation images, or kept.txt.")
@click.option("--reference-image", type=_PATH, help="Picture of the good view, for the gate.")
@click.option("--name", help="Name of the model in the bundle [the registry's].")
@click.option("--model-version", type=click.IntRange(1), help="Its version [the registry's].")
@click.option(
    "--prove",
    type=click.Choice(["auto", "require", "never"]),
    default="auto",
    show_default=True,
    help="Compare with PyTorch: where it is installed, always, never.",
)
@click.option(
    "--precision",
    default="fp32",
    show_default=True,
    help="Of fp32, fp16, int8, int8-cpu, with commas; auto keeps those that pass.",
)
@click.option("--labels", type=_PATH, help="Folder of YOLO labels of the reference data: mAP.")
@click.option(
    "--config",
    "limits",
    type=_PATH,
    is_eager=True,
    callback=apply_config,
    help="TOML with these options, and what a variant may lose: docs/formats.md.",
)
@click.option(
    "--strict",
    is_flag=True,
    help="Fail when a named precision does not pass or an engine cannot be compiled, instead of"
    " leaving it out.",
)
@click.option("--saliency", is_flag=True, help="Measure what each class looks at, by occlusion.")
@click.option(
    "--embedding", is_flag=True, help="The graph also gives an embedding: drift of the pictures."
)
@click.option(
    "--previous",
    type=_PATH,
    help="Bundle of the version before, to compare that with [watch: the release before]; implies"
    " --saliency.",
)
@click.option(
    "--golden-frames",
    type=click.IntRange(1, 500),
    help="Frames that devices must reproduce [12, up to 32 where the classes need them].",
)
@click.option(
    "--exporter",
    type=click.Choice(["own", "ultralytics"]),
    default="own",
    show_default=True,
    help="ultralytics: other detectors of that package (extra: reference).",
)
@click.option(
    "--batch",
    type=click.Choice(["1", "dynamic"]),
    default="1",
    show_default=True,
    help="Images per run of the graph.",
)
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    help="Compile the variants too: for the GPU here, or (trt-rtx) for named ones.",
)
@click.option("--compute-capability", help="Named GPUs for trt-rtx, like 8.6,8.9.")
@click.option("--allow-nonfinite", is_flag=True, help="Build weights with NaN, to test devices.")
@_JSON
def build(
    source: str,
    output: Path,
    tracking_uri: str | None,
    imgsz: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Build the bundle of SOURCE.

    SOURCE is models:/NAME@ALIAS, models:/NAME/3, models:/NAME/Production, runs:/ID/PATH, a .pt or
    an .onnx file. All options are checked before it is fetched.
    """
    from builder.build import build as build_bundle
    from builder.progress import Terminal
    from builder.terminate import tidy_when_terminated

    options = build_options(imgsz=imgsz, **given)
    with tidy_when_terminated():
        built = build_bundle(
            source, output, options, tracking_uri=tracking_uri, progress=Terminal()
        )
    print(_json(_built(built)) if as_json else _summary(built))


def build_options(
    *,
    imgsz: str | None,
    model_version: int | None,
    precision: str,
    engine: str | None,
    compute_capability: str | None,
    **given: Any,
) -> BuildOptions:
    """What ``build`` was given, as its options; ``watch`` takes the same."""
    from builder.engines import engine_options
    from builder.options import BuildOptions, parse_precisions, parse_size

    size = parse_size(imgsz) if imgsz else None
    chosen = parse_precisions(precision)
    engines = engine_options(engine, compute_capability)
    return BuildOptions(
        size=size, version=model_version, precisions=chosen, engine=engines, **given
    )


def _built(built: Built) -> dict[str, Any]:
    manifest = built.bundle.manifest
    return {
        "bundle": str(built.bundle.root),
        "name": manifest.name,
        "version": manifest.version,
        "digest": manifest.digest,
        "checkpoint": built.version.choice,
        "reference": manifest.golden.reference,
        "variants": [one.id for one in manifest.variants],
        "left_out": built.outcome.left_out,
        "golden": [{"image": one.name, "why": one.why} for one in built.golden],
        **built.engines,
        "warnings": built.warnings,
    }


def _summary(built: Built) -> str:
    manifest = built.bundle.manifest
    return f"{built.bundle.root}: {manifest.name} {manifest.version}, digest {manifest.digest}"


@cli.command()
@_BUNDLE
@_JSON
def verify(bundle: Path, as_json: bool) -> None:
    """Check every hash of BUNDLE and run its golden set on this machine."""
    from edge_agent.bundle import Bundle
    from edge_agent.detection.selftest import run
    from edge_agent.errors import ModelError

    opened = Bundle.open(bundle)
    opened.verify()
    report = run(opened)
    if as_json:
        print(_json({"digest": opened.manifest.digest, **report.to_document()}))
    if not report.ok:
        raise ModelError(f"{bundle}: {'; '.join(report.failures)}")
    if not as_json:
        print(
            f"{bundle}: {len(opened.manifest.files)} files are whole,"
            f" {report.frames} golden frames are right"
            f" ({report.latency_p50_ms:.1f} ms a frame on {report.provider})"
        )


@cli.command()
@_BUNDLE
@click.option("--checkpoint", type=_PATH, help="Its .pt file [from MLflow, as the manifest says].")
@_TRACKING
@click.option("--write", is_flag=True, help="Put the proof into BUNDLE; its digest changes.")
@_JSON
def prove(
    bundle: Path, checkpoint: Path | None, tracking_uri: str | None, write: bool, as_json: bool
) -> None:
    """Compare BUNDLE with the original in PyTorch, on its golden frames.

    With --write PyTorch becomes the reference of its golden set, as if it had been built where
    PyTorch is installed. Do that before BUNDLE is published.
    """
    from builder.reprove import original
    from builder.reprove import prove as prove_bundle
    from edge_agent.bundle import Bundle

    asked = Bundle.open(bundle)
    with original(asked, checkpoint, tracking_uri) as file:
        proof, opened = prove_bundle(asked, file, write=write)
    if as_json:
        print(_json({**proof.document(), "digest": opened.manifest.digest}))
    else:
        print(f"{bundle}: equal to PyTorch to {proof.worst:.1e} on {proof.frames} frames")


@cli.command()
@_BUNDLE
@_REPO
@_KEYS
@_TRACKING
@click.option("--tag/--no-tag", default=True, help="Write tags onto the MLflow version.")
@_JSON
def publish(
    bundle: Path, repo: Path, keys: Path | None, tracking_uri: str | None, tag: bool, as_json: bool
) -> None:
    """Sign BUNDLE into the release repository.

    Ends with exit code 10 when it is published but its MLflow version could not be tagged; run it
    again then, it publishes nothing twice.
    """
    from builder.publish import publish as publish_bundle
    from edge_agent.bundle import Bundle
    from edge_agent.errors import RegistryError
    from edge_agent.release.keys import default_keys

    done = publish_bundle(
        Bundle.open(bundle), repo, keys or default_keys(repo), tracking_uri=tracking_uri, tag=tag
    )
    made = done.published
    for warning in done.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if as_json:
        told = {"registry_error": done.registry_error, "warnings": list(done.warnings)}
        print(_json({**vars(made), "tags": dict(done.tags), **told}))
    else:
        print(
            f"{repo}: {made.name} {made.version}, digest {made.digest}, {made.new_blobs} new blobs"
            f" ({made.bytes} bytes)" + ("; MLflow version tagged" if done.tags else "")
        )
    if done.registry_error:
        raise RegistryError(
            f"published, but the MLflow version has no tags: {done.registry_error};"
            " publish again to complete them"
        )


@cli.group()
def repo() -> None:
    """The release repository: found it, keep it fresh."""


@repo.command("init")
@_REPO
@_KEYS
@click.option("--offline-keys", default=1, show_default=True, help="Keys of root and targets.")
@click.option("--threshold", default=1, show_default=True, help="How many of them must sign.")
def repo_init(repo: Path, keys: Path | None, offline_keys: int, threshold: int) -> None:
    """Found a release repository and make its keys."""
    from edge_agent.release import repo as release_repo
    from edge_agent.release.keys import default_keys

    folder = keys or default_keys(repo)
    release_repo.init(repo, folder, offline_keys=offline_keys, threshold=threshold)
    print(f"{repo}: ready to be served; devices embed {repo / 'root.json'}")
    print(
        f"{folder}: six private keys. Keep root and targets offline; a builder needs releases,"
        " snapshot and timestamp, an operator rollouts, snapshot and timestamp."
    )


@repo.command("refresh")
@_REPO
@_KEYS
def repo_refresh(repo: Path, keys: Path | None) -> None:
    """Sign what expires soon once more, with the keys that are here; run it daily."""
    from edge_agent.release.keys import default_keys
    from edge_agent.release.repo import ReleaseRepository

    opened = ReleaseRepository.open(repo, keys or default_keys(repo))
    print(f"{repo}: signed {', '.join(opened.refresh_timestamp())}")


cli.add_command(dataset)
cli.add_command(watch_command(build, build_options))
cli.add_command(inspect)
cli.add_command(diff)
cli.add_command(compile_command)
cli.add_command(sign)


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    return run_cli(cli, argv)


if __name__ == "__main__":
    sys.exit(main())
