"""What a model looks at, by occlusion: grey squares over the picture, and what they do to scores.

(Zeiler and Fergus, 2014, Visualizing and Understanding Convolutional Networks, arXiv 1311.2901,
section 4.2.) One number per class says how much of that lies on the object itself; a second one,
where there is a version before, how alike the two versions' maps are: an operator reads a change of
"feature importance" there before it shows in the detections.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from builder.cover import cover
from builder.crew import in_order
from builder.progress import Progress
from builder.runner import Runner, Shot
from builder.sections import STABLE
from edge_agent.bundle import Bundle, file_fault
from edge_agent.detection.decode import Floats, above
from edge_agent.detection.golden import match
from edge_agent.detection.preprocess import Image
from edge_agent.errors import BundleError

GRID = 6
FRAMES = 4
"""Golden frames that are looked at, more only for classes that these do not show."""

MOST_FRAMES = 32
"""What bounds the time: one inference and one per square for each frame, of each version."""

_LEAST_IOU = 0.3
Map = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Saliency:
    """Of one class.

    Attributes:
        objects: detections that were looked at.
        on_object: share of the score's loss that squares touching the object cause, 0..1.
        stability: mean correlation with the version before, -1..1; None when there is none, or
            when it has no class of that name.
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
        tell: hears what it costs, and of the classes that look elsewhere than before.

    Raises:
        BundleError: there is no bundle at ``previous``, or its graph is damaged.
    """
    rows = [runner.detections(shot.raw, shot.placement)[0] for shot in shots]
    chosen, left = choose(rows, runner.manifest.decode.confidence)
    before = None if previous is None else Bundle.open(previous)
    versions = 1 if before is None else 2
    tell.say(
        f"occlusion: {len(chosen)} golden frames, {GRID}x{GRID} squares, up to"
        f" {len(chosen) * (GRID * GRID + 1) * versions} inferences"
    )
    if left:
        names = ", ".join(runner.manifest.classes[kind] for kind in left)
        tell.warn(f"occlusion: only {MOST_FRAMES} frames are looked at; without {names}")
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
    path = bundle.manifest.variant("fp32").path
    if fault := file_fault(bundle.path(path), bundle.manifest.entry(path)):
        raise BundleError(f"{bundle.path(path)}: {fault}; give another --previous")
    return Runner(bundle.manifest, bundle.path(path))


def choose(
    expected: Sequence[Floats], confidence: float, least: int = FRAMES, most: int = MOST_FRAMES
) -> tuple[list[int], list[int]]:
    """Golden frames that together show every class, and then some up to ``least``.

    Args:
        expected: (n, 6) detections per frame; frames on which none is reported are never chosen.
        confidence: from which a detection is reported.
        least: frames, where so many show something.
        most: frames at all.

    Returns:
        The frames' numbers, ascending, and the classes for which there was no place.
    """
    members = {
        index: dict.fromkeys(above(rows, confidence)[:, 5].astype(int).tolist(), 1.0)
        for index, rows in enumerate(expected)
    }
    chosen = list(cover(members, most=most))
    others = [index for index, kinds in members.items() if kinds and index not in chosen]
    others.sort(key=lambda index: -len(members[index]))
    chosen += others[: max(0, least - len(chosen))]
    seen = {kind for index in chosen for kind in members[index]}
    left = {kind for kinds in members.values() for kind in kinds} - seen
    return sorted(chosen), sorted(left)


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
        previous: the version before; classes are the same where their names are.
    """
    manifest = runner.manifest
    names = manifest.classes
    maps: dict[str, list[tuple[float, float | None]]] = {}
    for picture, rows in zip(pictures, expected, strict=True):
        objects = above(rows, manifest.decode.confidence)
        theirs = _maps_before(previous, picture, objects, names)
        for index, ours in enumerate(importance(runner, picture, objects)):
            before = theirs.get(index)
            shared = None if before is None else correlation(ours, before)
            share = _on_object(ours, objects[index], picture.shape)
            maps.setdefault(names[int(objects[index, 5])], []).append((share, shared))
    return {name: _summary(maps[name]) for name in names if name in maps}


def _maps_before(
    previous: Runner | None, picture: Image, objects: Floats, names: Sequence[str]
) -> dict[int, Map]:
    """Object's number -> its map by the version before, for the classes that it knows."""
    if previous is None:
        return {}
    ids = {name: number for number, name in enumerate(previous.manifest.classes)}
    known = [index for index, row in enumerate(objects) if names[int(row[5])] in ids]
    rows = objects[known].copy()
    rows[:, 5] = [ids[names[int(kind)]] for kind in rows[:, 5]]
    return dict(zip(known, importance(previous, picture, rows), strict=True))


def importance(runner: Runner, picture: Image, objects: Floats) -> list[Map]:
    """How much of each object's score goes when a square is covered: (GRID, GRID) per object.

    An object that the model does not see at all has a map of zeros.
    """
    if not len(objects):
        return []
    plain, *covered = in_order(
        partial(_scores, runner, objects), _covered(picture, runner.manifest.input.pad_value)
    )
    losses = np.maximum(plain - np.asarray(covered), 0)
    return list(losses.T.reshape(-1, GRID, GRID))


def _covered(picture: Image, grey: int) -> Iterator[Image]:
    """The picture, then the picture with each of the squares covered, row by row."""
    yield picture
    height, width = picture.shape[:2]
    for row in range(GRID):
        for column in range(GRID):
            covered = picture.copy()
            covered[
                row * height // GRID : (row + 1) * height // GRID,
                column * width // GRID : (column + 1) * width // GRID,
            ] = grey
            yield covered


def correlation(first: Map, second: Map) -> float:
    """Pearson's, of two maps; 0 when one of them is flat and the other is not, 1 when both are."""
    a, b = (one.ravel() - one.mean() for one in (first, second))
    norms = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    if min(norms) < 1e-6:
        return float(max(norms) < 1e-6)
    return float(a @ b / (norms[0] * norms[1]))


def _scores(runner: Runner, objects: Floats, picture: Image) -> npt.NDArray[np.float64]:
    """The score of the detection at each object's place and of its class, 0 when there is none."""
    tensor, placement = runner.tensor(picture)
    found, _ = runner.detections(runner.raw(tensor), placement)
    scores = np.zeros(len(objects))
    for index, other in match(objects, found, _LEAST_IOU):
        scores[index] = found[other, 4]
    return scores


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
