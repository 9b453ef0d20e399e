"""Score pictures against a reference: what `edge-agent quality` does."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from edge_agent.commands.pictures import keys_of, read
from edge_agent.console import table
from edge_agent.detection.preprocess import Image
from edge_agent.errors import SourceError
from edge_agent.quality import Metric, find
from edge_agent.quality.table import EVERYTHING

Scores = dict[str, float | None]

_DECIMALS = 6


def run(
    reference: Path,
    images: Sequence[Path],
    *,
    metrics: str,
    as_json: bool = False,
    echo: Callable[[str], None] = print,
) -> None:
    """Score pictures and say how alike they are to the reference.

    Args:
        reference: picture file.
        images: picture files of the same size.
        metrics: names with commas between them, or ``all``. Of ``all``, those that need larger
            pictures than these are left empty.
        as_json: print ``{"<file name>": {"<metric>": score, …}}``; a score that is infinite (NQM of
            the same picture) or was left out is null. A name that is there twice is given with its
            folder.
        echo: prints one text.

    Raises:
        SourceError: a path that is missing or not a picture, sizes that differ, or a picture that
            is too small for a metric that was named; nothing is printed then.
        UsageError: a metric that does not exist.
    """
    wanted = find(metrics)
    lenient = metrics.strip() == EVERYTHING
    first = read(reference)
    scores = {
        key: _score(path, _fitting(path, reference, first), first, wanted, lenient=lenient)
        for key, path in zip(keys_of(images), images, strict=True)
    }
    echo(_json(scores) if as_json else _human(scores, wanted))


def _fitting(path: Path, reference: Path, first: Image) -> Image:
    image = read(path)
    if image.shape != first.shape:
        raise SourceError(
            f"{path}: is {image.shape[1]} x {image.shape[0]}, the reference {reference} is"
            f" {first.shape[1]} x {first.shape[0]}; scale or crop one of them first"
        )
    return image


def _score(
    path: Path, image: Image, reference: Image, wanted: Sequence[Metric], *, lenient: bool
) -> Scores:
    scores: Scores = {}
    for metric in wanted:
        if lenient and min(image.shape[:2]) < metric.least:
            scores[metric.name] = None
            continue
        try:
            scores[metric.name] = metric.score(reference, image)
        except SourceError as error:
            raise SourceError(f"{path}: {metric.name}: {error}") from None
    return scores


def _json(scores: dict[str, Scores]) -> str:
    rows = {
        key: {
            name: None if value is None or math.isinf(value) else round(value, _DECIMALS)
            for name, value in row.items()
        }
        for key, row in scores.items()
    }
    return json.dumps(rows)


def _human(scores: dict[str, Scores], wanted: Sequence[Metric]) -> str:
    """A picture a row; of one picture, or of many metrics, a metric a row."""
    if len(scores) == 1 or len(wanted) > len(scores) + 6:
        rows = [
            [metric.name, *(_number(row[metric.name]) for row in scores.values()), _hint(metric)]
            for metric in wanted
        ]
        return table(["metric", *scores, "better"], rows)
    rows = [[key, *(_number(value) for value in row.values())] for key, row in scores.items()]
    text = table(["picture", *(metric.name for metric in wanted)], rows)
    return text + "\n" + "; ".join(f"{m.name}: {_hint(m)} is better" for m in wanted)


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:#.4g}"


def _hint(metric: Metric) -> str:
    return "higher" if metric.higher_is_better else "lower"
