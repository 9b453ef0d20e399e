"""``edge-builder dataset``: what a folder of images is worth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from builder.dataset import Report

_PATH = click.Path(path_type=Path)


@click.group()
def dataset() -> None:
    """Look at a folder of images before it trains or calibrates a model."""


@dataset.command()
@click.argument("folder", type=_PATH)
@click.option("--reference", type=_PATH, required=True, help="Picture of the good view.")
@click.option(
    "-o",
    "--output",
    type=_PATH,
    default=Path("dataset-check"),
    show_default=True,
    help="Folder for kept.txt, scores.csv, histogram.png, worst.png, report.json.",
)
@click.option(
    "--policy",
    type=click.Choice(["below-mean", "k-sigma", "quantile"]),
    default="below-mean",
    show_default=True,
    help="What is left out: scores below the mean, far below it, or the lowest share.",
)
@click.option("--k", default=3.0, show_default=True, help="Deviations, for k-sigma.")
@click.option("--share", default=0.05, show_default=True, help="Of the images, for quantile.")
@click.option("--keep-copies", is_flag=True, help="Keep every copy of an image, not only one.")
@click.option("--workers", type=click.IntRange(1, 256), help="Threads [one per CPU].")
@click.option(
    "--cross-check",
    "again",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="Score N of the images by scikit-image too (extra `dataset`).",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def check(
    folder: Path,
    reference: Path,
    output: Path,
    policy: str,
    k: float,
    share: float,
    keep_copies: bool,
    workers: int | None,
    again: int,
    as_json: bool,
) -> None:
    """Compare the images of FOLDER with a reference by SSIM, and list which to keep.

    Finds damaged files, copies and near copies too. Nothing in FOLDER is changed or deleted.
    """
    from builder.dataset.scan import limit_pixels

    limit_pixels()
    from builder.dataset import Policy, check_dataset
    from builder.progress import Terminal

    report = check_dataset(
        folder,
        reference,
        Policy(policy, k, share),  # type: ignore[arg-type]
        output=output,
        keep_copies=keep_copies,
        workers=workers,
        progress=Terminal(),
    )
    if again:
        from builder.dataset.cross_check import cross_check

        worst = cross_check(folder, reference, report.scores, again)
        Terminal().say(
            f"scikit-image gives the same scores for {min(again, len(report.scores))} images"
            f" (largest difference {worst:.0e})"
        )
    if as_json:
        print(json.dumps(report.document(), indent=2, ensure_ascii=True))
    else:
        print(summary(report, output))


def summary(report: Report, output: Path) -> str:
    """The figures in a few lines."""
    spread, out = report.spread, report.policy.describe()
    repeated = sum(len(group) - 1 for group in report.copies)
    near = sum(len(group) - 1 for group in report.near)
    return "\n".join(
        (
            f"SSIM   mean {spread.mean:.4f}, spread {spread.deviation:.4f},"
            f" {spread.least:.4f} to {spread.most:.4f}",
            f"kept   {len(report.kept)} of {spread.count + len(report.damaged)} images;"
            f" {len(report.dropped)} left out ({out}: {report.threshold:.4f})",
            f"found  {len(report.damaged)} damaged, {repeated} copies, {near} near copies",
            f"see    {output}: kept.txt, worst.png, histogram.png, scores.csv, report.json",
        )
    )
