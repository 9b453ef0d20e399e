"""Try a bundle on pictures: what `edge-agent detect` does."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2

from edge_agent.atomic import write_atomic
from edge_agent.bundle import Bundle
from edge_agent.commands.pictures import keys_of, read
from edge_agent.console import table
from edge_agent.detection.decode import Floats, above
from edge_agent.detection.detector import Detector
from edge_agent.detection.draw import draw
from edge_agent.detection.preprocess import Image
from edge_agent.errors import ModelError, StorageError, UsageError, storage_errors

_BOX_DECIMALS = 3
_SCORE_DECIMALS = 6


@dataclass(frozen=True)
class _Found:
    key: str
    path: Path
    image: Image
    detections: Floats


def run(
    bundle_dir: Path,
    images: Sequence[Path],
    *,
    confidence: float | None = None,
    as_json: bool = False,
    save: Path | None = None,
    echo: Callable[[str], None] = print,
) -> None:
    """Detect in pictures and say what was found.

    Args:
        bundle_dir: folder of the bundle.
        images: picture files.
        confidence: least score that is shown; None takes the manifest's.
        as_json: print ``{"<file name>": [[x0, y0, x1, y1, score, class_id], …]}`` in pixels of the
            original picture; a name that is there twice is given with its folder.
        save: folder for the pictures with boxes drawn, under the same names.
        echo: prints one text.

    Raises:
        BundleError: no bundle there, or it is damaged.
        ModelError: the model cannot be run, or gave NaN or Inf.
        SourceError: a path that is missing or not a picture; nothing is printed then.
        StorageError: ``save`` cannot be written.
        UsageError: a confidence outside 0..1, or ``save`` would overwrite a picture, given or
            drawn.
    """
    bundle = _with_confidence(Bundle.open(bundle_dir), confidence)
    keys = keys_of(images)
    _check_targets(images, save)
    bundle.verify()
    detector = Detector.load(bundle)
    found = [_detect(detector, key, path) for key, path in zip(keys, images, strict=True)]
    detector.close()
    if save is not None:
        _save(found, save, bundle.manifest.classes)
    echo(_json(found) if as_json else _human(found, bundle.manifest.classes))


def _with_confidence(bundle: Bundle, confidence: float | None) -> Bundle:
    """The bundle, deciding at this confidence; its floor is lowered where it stands above."""
    if confidence is None:
        return bundle
    if not 0.0 <= confidence <= 1.0:
        raise UsageError(f"confidence {confidence:g} should be between 0 and 1")
    spec = bundle.manifest.decode
    spec = replace(spec, confidence=confidence, floor=min(spec.floor, confidence))
    return replace(bundle, manifest=replace(bundle.manifest, decode=spec))


def _check_targets(images: Sequence[Path], save: Path | None) -> None:
    if save is None:
        return
    given = {path.resolve() for path in images}
    drawn: dict[Path, Path] = {}
    for path in images:
        target = _target(save, path)
        if target.resolve() in given:
            raise UsageError(f"{target}: --save {save} would overwrite it; name another folder")
        other = drawn.setdefault(target, path)
        if other != path:
            raise UsageError(
                f"{other} and {path} would both be saved as {target}; save them one by one"
            )


def _target(save: Path, path: Path) -> Path:
    """Where the drawn picture goes; PNG where OpenCV does not write the picture's own format."""
    suffix = path.suffix.lower()
    writable = bool(suffix) and cv2.haveImageWriter(suffix)
    return save / f"{path.stem}{suffix if writable else '.png'}"


def _detect(detector: Detector, key: str, path: Path) -> _Found:
    image = read(path)
    result = detector.detect(image)
    if result.nonfinite:
        raise ModelError(f"{path}: the network's output holds NaN or Inf; do not use this bundle")
    return _Found(key, path, image, above(result.detections, detector.manifest.decode.confidence))


def _save(found: Sequence[_Found], folder: Path, classes: Sequence[str]) -> None:
    try:
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{folder}: {error.strerror}; name a folder for --save") from None
    for item in found:
        target = _target(folder, item.path)
        _, data = cv2.imencode(target.suffix, draw(item.image, item.detections, classes))
        write_atomic(target, data.tobytes(), durable=False)


def _json(found: Sequence[_Found]) -> str:
    rows = {
        item.key: [
            [
                *(round(float(side), _BOX_DECIMALS) for side in row[:4]),
                round(float(row[4]), _SCORE_DECIMALS),
                int(row[5]),
            ]
            for row in item.detections
        ]
        for item in found
    }
    return json.dumps(rows)


def _human(found: Sequence[_Found], classes: Sequence[str]) -> str:
    rows: list[list[object]] = []
    for item in found:
        rows += [
            [item.key, classes[int(row[5])], f"{row[4]:.3f}", *(round(float(s)) for s in row[:4])]
            for row in item.detections
        ] or [[item.key, "nothing", *([None] * 5)]]
    return table(["picture", "class", "score", "x0", "y0", "x1", "y1"], rows)
