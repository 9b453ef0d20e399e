"""What a model looks at, by occlusion: grey squares over the picture, and what they do to scores.

(Zeiler and Fergus, 2014, Visualizing and Understanding Convolutional Networks, arXiv 1311.2901,
section 4.2.) One number per class says how much of that lies on the object itself; a second one,
where there is a version before, how alike the two versions' maps are: an operator reads a change of
"feature importance" there before it shows in the detections.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from builder.progress import Progress
from builder.runner import Runner, Shot
from edge_agent.bundle import Bundle
from edge_agent.detection.decode import Floats, above
from edge_agent.detection.golden import match
from edge_agent.detection.preprocess import Image

GRID = 6
STABLE = 0.5
"""Correlation below which a person should look."""

FRAMES = 4
_LEAST_IOU = 0.3
Map = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Saliency:
    """Of one class.

    Attributes:
        objects: detections that were looked at.
        on_object: share of the score's loss that squares touching the object cause, 0..1.
        stability: mean correlation with the version before, -1..1; None when there is none.
    """

    objects: int
    on_object: float
    stability: float | None

    def document(self) -> dict[str, Any]:
        """The manifest's ``saliency.classes.<name>``."""
        known = {} if self.stability is None else {"stability": round(self.stability, 2)}
        return {"objects": self.objects, "on_object": round(self.on_object, 2), **known}


def looks_at(
    runner: Runner, shots: Sequence[Shot], previous: Path | None, tell: Progress
) -> dict[str, Any]:
    """The manifest's ``saliency``: figures per class, and of which version the one before is.

    Args:
        runner: the fp32 graph.
        shots: the golden frames.
        previous: bundle of the version before, None without one.
        tell: hears of the classes that look elsewhere than before.

    Raises:
        BundleError: there is no bundle at ``previous``.
    """
    rows = [runner.detections(shot.raw, shot.placement)[0] for shot in shots]
    chosen = choose(rows, runner.manifest.decode.confidence)
    before = None if previous is None else Bundle.open(previous)
    figures = saliency(
        runner,
        [shots[index].image for index in chosen],
        [rows[index] for index in chosen],
        None if before is None else _runner(before),
    )
    for name, one in figures.items():
        if one.stability is not None and one.stability < STABLE:
            tell.warn(
                f"{name}: looks elsewhere than the version before (correlation"
                f" {one.stability:.2f} over {one.objects} objects)"
            )
    document: dict[str, Any] = {"classes": {name: one.document() for name, one in figures.items()}}
    if before is not None:
        manifest = before.manifest
        document["previous"] = {"version": manifest.version, "digest": manifest.digest}
    return document


def _runner(bundle: Bundle) -> Runner:
    return Runner(bundle.manifest, bundle.path(bundle.manifest.variant("fp32").path))


def choose(expected: Sequence[Floats], confidence: float, most: int = FRAMES) -> list[int]:
    """Up to ``most`` golden frames that show as many classes as possible; the earlier one first."""
    kinds = [set(above(rows, confidence)[:, 5].astype(int).tolist()) for rows in expected]
    chosen: list[int] = []
    seen: set[int] = set()
    while len(chosen) < most:
        rest = [index for index in range(len(kinds)) if kinds[index] and index not in chosen]
        if not rest:
            break
        chosen.append(max(rest, key=lambda index: (len(kinds[index] - seen), -index)))
        seen |= kinds[chosen[-1]]
    return sorted(chosen)


def saliency(
    runner: Runner,
    pictures: Sequence[Image],
    expected: Sequence[Floats],
    previous: Runner | None = None,
) -> dict[str, Saliency]:
    """The figures per class.

    Args:
        runner: the fp32 graph.
        pictures: golden frames.
        expected: (n, 6) detections on them; those that are reported are looked at.
        previous: the version before, with a class of the same name.
    """
    manifest = runner.manifest
    names = manifest.classes
    maps: dict[str, list[tuple[float, float | None]]] = {}
    for picture, rows in zip(pictures, expected, strict=True):
        objects = above(rows, manifest.decode.confidence)
        ours = importance(runner, picture, objects)
        theirs = None
        if previous is not None:
            theirs = importance(previous, picture, _renumbered(objects, names, previous))
        for index, row in enumerate(objects):
            shared = None if theirs is None else correlation(ours[index], theirs[index])
            share = _on_object(ours[index], row, picture.shape)
            maps.setdefault(names[int(row[5])], []).append((share, shared))
    return {name: _summary(maps[name]) for name in names if name in maps}


def importance(runner: Runner, picture: Image, objects: Floats) -> list[Map]:
    """How much of each object's score goes when a square is covered: (GRID, GRID) per object.

    An object that the model does not see at all has a map of zeros.
    """
    plain = _scores(runner, picture, objects)
    maps = np.zeros((len(objects), GRID, GRID))
    height, width = picture.shape[:2]
    for row in range(GRID if len(objects) else 0):
        for column in range(GRID):
            covered = picture.copy()
            covered[
                row * height // GRID : (row + 1) * height // GRID,
                column * width // GRID : (column + 1) * width // GRID,
            ] = runner.manifest.input.pad_value
            maps[:, row, column] = np.maximum(plain - _scores(runner, covered, objects), 0)
    return list(maps)


def correlation(first: Map, second: Map) -> float:
    """Pearson's, of two maps; 0 when one of them is flat and the other is not, 1 when both are."""
    a, b = (one.ravel() - one.mean() for one in (first, second))
    norms = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    if min(norms) < 1e-6:
        return float(max(norms) < 1e-6)
    return float(a @ b / (norms[0] * norms[1]))


def _scores(runner: Runner, picture: Image, objects: Floats) -> npt.NDArray[np.float64]:
    """The score of the detection at each object's place and of its class, 0 when there is none."""
    tensor, placement = runner.tensor(picture)
    found, _ = runner.detections(runner.raw(tensor), placement)
    scores = np.zeros(len(objects))
    for index, other in match(objects, found, _LEAST_IOU):
        scores[index] = found[other, 4]
    return scores


def _renumbered(objects: Floats, names: Sequence[str], previous: Runner) -> Floats:
    """The objects with the class ids that the version before has for their names; -1: none."""
    ids = {name: number for number, name in enumerate(previous.manifest.classes)}
    rows = objects.copy()
    rows[:, 5] = [ids.get(names[int(kind)], -1) for kind in objects[:, 5]]
    return rows


def _on_object(importance_map: Map, row: Floats, shape: Sequence[int]) -> float:
    height, width = shape[:2]
    x0, x1 = (row[[0, 2]] * GRID / width).astype(float)
    y0, y1 = (row[[1, 3]] * GRID / height).astype(float)
    touched = np.zeros((GRID, GRID), bool)
    touched[int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))] = True
    total = float(importance_map.sum())
    return float(importance_map[touched].sum()) / total if total > 0 else 0.0


def _summary(figures: Sequence[tuple[float, float | None]]) -> Saliency:
    shared = [value for _, value in figures if value is not None]
    return Saliency(
        objects=len(figures),
        on_object=float(np.mean([share for share, _ in figures])),
        stability=float(np.mean(shared)) if shared else None,
    )
