"""The dataset check: measure, judge, write lists and pictures. It never deletes or moves an image.

What it writes (into a folder outside the dataset, all of it or nothing)::

    scores.csv      every image with its score, or why it cannot be used
    histogram.png   the distribution, with mean and threshold
    worst.png       the reference and the images least like it
    report.json     the figures, damaged files, groups of copies
    kept.txt        one path per line, as YOLO's training takes it
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from builder.dataset import pictures
from builder.dataset.policy import Policy, Spread, keeps
from builder.dataset.scan import Measured, image_files, read_gray, scan
from builder.dataset.twins import copies, near_copies
from builder.images import png, read_picture
from builder.progress import Progress, Silent
from edge_agent.atomic import fsync_dir, make_dirs, write_atomic
from edge_agent.checked import canonical_json
from edge_agent.detection.preprocess import Image
from edge_agent.errors import SourceError, UsageError, storage_errors

FEW = 20
"""Below so many images, mean and spread say little."""

_SHOWN = 3


@dataclass(frozen=True)
class Report:
    """What was found.

    Attributes:
        root: the folder.
        reference: the picture that scores are against.
        policy, threshold, spread: the rule, the least score that is kept, the distribution.
        kept, dropped: names, by path; ``dropped`` are below the threshold.
        damaged: name -> why.
        copies, near: groups of names; of copies, only the first is kept.
        scores: name -> SSIM.
        warnings: what a person should know.
    """

    root: Path
    reference: Path
    policy: Policy
    threshold: float
    spread: Spread
    kept: tuple[str, ...]
    dropped: tuple[str, ...]
    damaged: dict[str, str]
    copies: list[list[str]]
    near: list[list[str]]
    scores: dict[str, float]
    warnings: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """``report.json``, and what ``--json`` prints."""
        return {
            "folder": str(self.root),
            "reference": str(self.reference),
            "images": self.spread.count + len(self.damaged),
            "kept": len(self.kept),
            "dropped": list(self.dropped),
            "damaged": self.damaged,
            "copies": self.copies,
            "near_copies": self.near,
            "policy": asdict(self.policy),
            "threshold": self.threshold,
            "ssim": asdict(self.spread),
            "warnings": list(self.warnings),
        }


def check_dataset(
    root: Path,
    reference: Path,
    policy: Policy | None = None,
    *,
    output: Path | None = None,
    keep_copies: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Compare every image below ``root`` with the reference picture.

    Args:
        root: folder of images.
        reference: picture of the good view.
        policy: which scores are too low; ``below-mean`` when None.
        output: folder for lists and pictures, outside ``root``; None writes nothing.
        keep_copies: keep every copy of an image, not only the first.
        workers: threads; None takes one per CPU.
        progress: where to tell what happens.

    Raises:
        UsageError: ``root`` is not a folder, has no images, or holds ``output``.
        SourceError: the reference cannot be read, or no image can.
        StorageError: the disk refuses what is written.
    """
    policy, tell = policy or Policy(), progress or Silent()
    paths = image_files(root)
    if output is not None and output.exists() and not output.is_dir():
        raise UsageError(f"{output}: is not a folder; choose another -o")
    if output is not None and output.resolve().is_relative_to(root.resolve()):
        raise UsageError(f"{output}: lies inside {root}; choose an -o outside the dataset")
    gray = read_gray(reference)
    measured = tell.track(scan(root, paths, gray, workers=workers), "dataset images", len(paths))
    report = judge(root, reference, policy, list(measured), keep_copies=keep_copies)
    for warning in report.warnings:
        tell.warn(warning)
    if output is not None:
        _write(report, read_picture(reference), output)
    return report


def judge(
    root: Path, reference: Path, policy: Policy, measured: Sequence[Measured], *, keep_copies: bool
) -> Report:
    """Turn measurements into a verdict; nothing is read or written.

    Raises:
        SourceError: when no image could be read.
    """
    good = [one for one in measured if not one.fault]
    damaged = {one.name: one.fault for one in measured if one.fault}
    if not good:
        raise SourceError(
            f"{root}: none of its {len(damaged)} images can be read; the first,"
            f" {next(iter(damaged))}, {next(iter(damaged.values()))}"
        )
    scores = {one.name: one.ssim for one in good}
    threshold = policy.threshold(list(scores.values()))
    same = copies(good)
    further = set() if keep_copies else {name for group in same for name in group[1:]}
    passing = [name for name, score in scores.items() if keeps(score, threshold)]
    return Report(
        root=root,
        reference=reference,
        policy=policy,
        threshold=threshold,
        spread=Spread.of(list(scores.values())),
        kept=tuple(name for name in passing if name not in further),
        dropped=tuple(name for name, score in scores.items() if not keeps(score, threshold)),
        damaged=damaged,
        copies=same,
        near=near_copies(good),
        scores=scores,
        warnings=tuple(_warnings(root, good, damaged)),
    )


def _warnings(root: Path, good: Sequence[Measured], damaged: dict[str, str]) -> list[str]:
    found = []
    if damaged:
        shown = ", ".join(f"{name} {why}" for name, why in list(damaged.items())[:_SHOWN])
        more = f" and {len(damaged) - _SHOWN} more" if len(damaged) > _SHOWN else ""
        found.append(f"{root}: {len(damaged)} images cannot be used: {shown}{more}")
    if len(good) < FEW:
        found.append(f"only {len(good)} images: mean and spread say little; look at them yourself")
    if resized := sum(one.resized for one in good):
        found.append(
            f"{resized} images are not of the reference's size and were resized for the comparison"
        )
    return found


def _write(report: Report, reference: Image, output: Path) -> None:
    worst = sorted(report.scores.items(), key=lambda item: (item[1], item[0]))
    scores = list(report.scores.values())
    parts = {
        "scores.csv": _csv(report),
        "histogram.png": png(pictures.histogram(scores, report.threshold, report.spread)),
        "worst.png": png(pictures.contact_sheet(report.root, reference, worst)),
        "report.json": canonical_json(report.document()),
        "kept.txt": "".join(f"{(report.root / n).absolute()}\n" for n in report.kept).encode(),
    }
    make_dirs(output)
    with storage_errors(output), TemporaryDirectory(prefix=".writing-", dir=output) as folder:
        for name, data in parts.items():
            write_atomic(Path(folder, name), data)
        for name in parts:  # renames need no room: all of them, or none
            os.replace(Path(folder, name), output / name)
        fsync_dir(output)


def _csv(report: Report) -> bytes:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("image", "ssim", "kept", "fault"))
    kept = set(report.kept)
    for name, score in report.scores.items():
        rows.writerow((name, f"{score:.6f}", int(name in kept), ""))
    for name, why in report.damaged.items():
        rows.writerow((name, "", 0, why))
    return text.getvalue().encode("utf-8", "surrogateescape")
