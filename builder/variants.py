"""Every precision that was asked for: made, measured, kept or left out with its reason.

1. Rewrite the fp32 graph (`builder.precision`).
2. Run it on the golden frames and on every reference picture.
3. Judge what was measured by the limits (`builder.accuracy`).
4. Keep it with its own profile and golden tolerance, or take it away and say why.

An int8 graph is another function than the original: how far it may be off is judged here, over all
pictures, and its golden detections are its own. Devices then prove that they compute that same
function, to the little by which two ways of computing it differ here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from builder import pack
from builder.accuracy.agreement import Agreement, agree
from builder.accuracy.coco import Accuracy, measure
from builder.accuracy.labels import Labels
from builder.accuracy.limits import Limits, rungs
from builder.accuracy.verdict import (
    Measured,
    detections_document,
    golden_tolerance,
    judge,
    render,
)
from builder.crew import in_order
from builder.few import few_for_calibration
from builder.graph import serialized
from builder.images import Folder, Synthetic
from builder.look import Look, look, speeds_ms
from builder.paths import MODEL_PATH, golden_frame
from builder.precision.calibration import IMAGES, LEAST, choose, typical
from builder.progress import Progress
from builder.prove import parity
from builder.reason import reason
from builder.runner import Runner, Shot
from edge_agent.bundle import Manifest, Tolerance
from edge_agent.detection.decode import Floats, above
from edge_agent.detection.golden import Golden, GoldenFrame
from edge_agent.errors import ModelError
from edge_agent.monitors.embedding import Projection
from edge_agent.monitors.histogram import Histograms
from edge_agent.monitors.profile import Profile

Precision = Literal["fp16", "int8", "int8-cpu"]
ORDER: tuple[Precision, ...] = ("fp16", "int8", "int8-cpu")
_INT8_OPSET = 13
"""From which QuantizeLinear has an axis, and so a scale per channel (ONNX operator schemas)."""


@dataclass(frozen=True)
class Scene:
    """What all variants of one model are measured on.

    Attributes:
        root: folder of the bundle that is being built.
        model: the fp32 ``onnx.ModelProto``.
        fp32: what runs it.
        reference: what all variants are compared with, ``pytorch`` or ``fp32-graph``.
        shots: the golden frames, with the reference's raw outputs.
        original: the reference's detections on all pictures.
        seen: the fp32 graph's.
        histograms: its counts.
        labels: None without.
        projection: of the fp32 graph's embeddings, None without.
        synthetic: there is no reference data, so nothing to calibrate on.
    """

    root: Path
    manifest: Manifest
    model: Any
    fp32: Runner
    pictures: Folder | Synthetic
    reference: str
    shots: Sequence[Shot]
    original: Look
    seen: Look
    histograms: Histograms
    labels: Labels | None
    projection: Projection | None
    tell: Progress

    @property
    def synthetic(self) -> bool:
        """Whether the pictures are drawn ones."""
        return isinstance(self.pictures, Synthetic)


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        entries: the manifest's ``variants``, without fp32.
        tolerances: precision -> golden tolerance of what was kept.
        left_out: the manifest's ``left_out``.
        measured: everything that was measured, for the table.
        fp32: of the fp32 graph's ``parity``, what its detections are worth.
    """

    entries: list[dict[str, Any]] = field(default_factory=list)
    tolerances: dict[str, Tolerance] = field(default_factory=dict)
    left_out: list[dict[str, Any]] = field(default_factory=list)
    measured: list[Measured] = field(default_factory=list)
    fp32: dict[str, Any] = field(default_factory=dict)


def make_variants(
    scene: Scene, wanted: Sequence[str], limits: Mapping[str, Limits], *, strict: bool = False
) -> Outcome:
    """Make the wanted precisions, and keep those that pass.

    Args:
        scene: what they are measured on.
        wanted: of `ORDER`; ``auto`` stands for all of them. What is kept depends on accuracy
            alone: a stopwatch would give the same model another digest on a busy machine, and the
            device measures for itself which one is the fastest.
        limits: per precision.
        strict: a precision that was named must pass.

    Raises:
        ModelError: ``strict``, and one did not; with the table.
    """
    before, own = _accuracy(scene, scene.original), _accuracy(scene, scene.seen)
    outcome = Outcome(fp32=_fp32(scene, before, own))
    auto = "auto" in wanted
    for precision in (name for name in ORDER if auto or name in wanted):
        scene.tell.say(f"{precision}: making and measuring it")
        _add(scene, precision, limits[precision], outcome, before)
    _tell(scene, outcome, before, own)
    for entry in outcome.left_out:
        scene.tell.warn(f"{entry['id']} is left out: {entry['why']}")
    if strict and not auto and outcome.left_out:
        reasons = "; ".join(f"{entry['id']}: {entry['why']}" for entry in outcome.left_out)
        raise ModelError(f"--strict: {reasons}")
    return outcome


def _fp32(scene: Scene, before: Accuracy | None, own: Accuracy | None) -> dict[str, Any]:
    """What the fp32 graph's detections are worth; beside themselves there is only their mAP."""
    if scene.reference == "pytorch":
        return detections_document(scene.reference, _agreement(scene, scene.seen), before, own)
    if own is None:
        return {}
    return {"detections_reference": scene.reference, **own.document()}


def _tell(scene: Scene, outcome: Outcome, before: Accuracy | None, own: Accuracy | None) -> None:
    sides = {"PyTorch": before} if scene.reference == "pytorch" else {}
    for name, known in {**sides, "fp32": own}.items():
        if known is not None:
            scene.tell.say(
                f"{name}: mAP50 {known.map50:.4f}, mAP50-95 {known.map50_95:.4f} on"
                f" {known.images} images with {known.objects} objects"
            )
    if outcome.measured:
        scene.tell.say(render(outcome.measured))
        if not any(one.agreement.boxes for one in outcome.measured):
            scene.tell.warn("nothing is detected on any image: that the variants agree says little")


def _add(
    scene: Scene,
    precision: Precision,
    limits: Limits,
    outcome: Outcome,
    before: Accuracy | None,
) -> None:
    path = f"model/{precision}.onnx"
    try:
        model = _rewrite(scene, precision)
        pack.put(scene.root, path, serialized(model))
        trial = _measure(scene, precision, path, before)
    except ModelError as error:
        (scene.root / path).unlink(missing_ok=True)
        outcome.left_out.append({"id": precision, "why": reason(error, scene.root)})
        return
    measured = trial.measured
    outcome.measured.append(measured)
    why = judge(measured, limits)
    if why or measured.tolerance is None:
        (scene.root / path).unlink()
        outcome.left_out.append(
            {"id": precision, "why": "; ".join(why), "parity": measured.document()}
        )
        return
    entry: dict[str, Any] = {
        "id": precision,
        "precision": precision,
        "path": path,
        "opset": int(model.opset_import[0].version),
        "parity": measured.document(),
    }
    if isinstance(scene.pictures, Folder):
        entry["profile"] = f"profiles/{precision}.json"
        counted = Profile(trial.histograms, scene.pictures.root.name)
        pack.put(scene.root, entry["profile"], counted.to_bytes())
    if trial.golden is not None:
        entry["golden"] = f"golden/{precision}.json"
        pack.put(scene.root, entry["golden"], trial.golden.to_bytes())
    outcome.entries.append(entry)
    outcome.tolerances[precision] = measured.tolerance


def _rewrite(scene: Scene, precision: Precision) -> Any:
    """The fp32 graph in another precision; raises `ModelError` when that cannot be."""
    from builder.precision import to_float16, to_int8

    if precision == "fp16":
        return to_float16(scene.model)
    opset = max(one.version for one in scene.model.opset_import if one.domain in ("", "ai.onnx"))
    if opset < _INT8_OPSET:
        raise ModelError(
            f"the graph has opset {opset}; int8 needs {_INT8_OPSET}: export it with opset"
            f" {_INT8_OPSET} or later, or build from the .pt file"
        )
    names = choose(typical(list(scene.seen.found), scene.seen.ssim))
    if scene.synthetic or len(names) < LEAST:
        have = 0 if scene.synthetic else len(names)
        raise ModelError(
            f"int8 is calibrated on at least {LEAST} reference images, there are {have}; give more"
            " --reference-data"
        )
    if few := few_for_calibration(precision, len(names), IMAGES):
        scene.tell.warn(few)
    return to_int8(scene.model, _tensors(scene, names), precision)


def _tensors(scene: Scene, names: Sequence[str]) -> Iterator[Floats]:
    for name in scene.tell.track(names, "calibration", len(names)):
        yield scene.fp32.tensor(scene.pictures.one(name))[0]


@dataclass(frozen=True)
class _Trial:
    """What one run over everything gave; ``golden`` is None where the reference's holds."""

    measured: Measured
    histograms: Histograms
    golden: Golden | None


def _measure(scene: Scene, precision: Precision, path: str, before: Accuracy | None) -> _Trial:
    model = scene.root / path
    deployed = Runner(scene.manifest, model)
    raws = _raws(deployed, scene.shots)
    difference = parity(raws, [shot.raw for shot in scene.shots], scene.manifest.head)
    expected, golden = _expected(scene, precision, model)
    found = [
        deployed.detections(raw, shot.placement)[0]
        for raw, shot in zip(raws, scene.shots, strict=True)
    ]
    confidence = scene.manifest.decode.confidence
    tolerance, faults = golden_tolerance(expected, found, confidence, rungs(precision))
    seen, histograms = look(
        # Signed activations are slow on a CPU; nobody deploys `int8` on one.
        Runner(scene.manifest, model, as_written=True) if precision == "int8" else deployed,
        scene.pictures.read(scene.tell),
        scene.seen.floor,
        scene.histograms,
        scene.projection,
    )
    infer_ms, fp32_ms = speeds_ms(
        [Runner(scene.manifest, one, threads=0) for one in (model, scene.root / MODEL_PATH)],
        scene.shots[0].tensor,
    )
    measured = Measured(
        id=precision,
        reference=scene.reference,
        raw=difference,
        agreement=_agreement(scene, seen),
        before=before,
        after=_accuracy(scene, seen),
        tolerance=tolerance,
        golden_faults=faults,
        model_bytes=model.stat().st_size,
        infer_ms=infer_ms,
        fp32_ms=fp32_ms,
    )
    return _Trial(measured, histograms, golden)


def _raws(runner: Runner, shots: Sequence[Shot]) -> list[Floats]:
    return list(in_order(lambda shot: runner.raw(shot.tensor), shots))


def _expected(
    scene: Scene, precision: Precision, model: Path
) -> tuple[list[Floats], Golden | None]:
    """The golden detections of a variant, and the document where they are its own."""
    if precision == "fp16":
        raws, runner = [shot.raw for shot in scene.shots], scene.fp32
    else:
        runner = Runner(scene.manifest, model, as_written=True)
        raws = _raws(runner, scene.shots)
    least = scene.manifest.decode.confidence / 2
    rows = [
        above(runner.detections(raw, shot.placement)[0], least)
        for raw, shot in zip(raws, scene.shots, strict=True)
    ]
    if precision == "fp16":
        return rows, None
    frames = (GoldenFrame(golden_frame(index), one) for index, one in enumerate(rows))
    return rows, Golden(tuple(frames))


def _agreement(scene: Scene, seen: Look) -> Agreement:
    """Of a variant's detections with the reference's."""
    return agree(
        scene.original.found,
        seen.found,
        confidence=scene.manifest.decode.confidence,
        classes=scene.manifest.classes,
    )


def _accuracy(scene: Scene, seen: Look) -> Accuracy | None:
    """The mAP of detections; None without labels."""
    if scene.labels is None:
        return None
    return measure(scene.labels, seen.found, seen.sizes, scene.manifest.classes)
