"""One model version in, one bundle out.

1. Resolve the version and bring its checkpoint here (`builder.sources`).
2. Read the checkpoint with the restricted reader and draw the graph.
3. Look at every reference picture through the deployed preprocessing: profile and candidates.
4. Choose the golden frames; compare the graph with PyTorch on them where that is installed.
5. Make the other precisions, and keep those that are close enough to the original.
6. Pack: the same input makes the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from builder import pack
from builder.accuracy import coco
from builder.accuracy.labels import Labels, read_labels
from builder.accuracy.limits import read_limits
from builder.accuracy.saliency import looks_at
from builder.blame import first_difference
from builder.checkpoint import Checkpoint, read_checkpoint
from builder.crew import in_order
from builder.embedding import check_wanted, described, keep
from builder.engines import compile_variants
from builder.exporter import export_onnx, exportable
from builder.few import few_for_golden, few_for_profile
from builder.finite import nonfinite_weights
from builder.golden import LEAST, Choice, Gaps, choose_frames, gaps
from builder.graph import serialized, write_onnx
from builder.graph.ready import ReadyGraph, read_ready
from builder.images import Folder, Synthetic, png, read_picture
from builder.look import Look
from builder.manifest import Findings, document, draft
from builder.options import BuildOptions
from builder.paths import (
    GOLDEN_PATH,
    MODEL_PATH,
    PROFILE_PATH,
    REFERENCE_PATH,
    golden_frame,
)
from builder.preflight import check_name, check_options
from builder.progress import Progress, Remembering, Silent
from builder.prove import EXPORTED_LIMIT, LIMIT, Parity, check, obstacle, parity, run_reference
from builder.provenance import data_facts
from builder.renamed import class_warning
from builder.runner import Runner, Shot
from builder.sources import ModelVersion, resolve
from builder.streamed import look_original, original
from builder.survey import Sighting, survey
from builder.ties import without_ties
from builder.variants import Outcome, Scene, make_variants
from edge_agent.bundle import Bundle, Manifest
from edge_agent.checked import plural
from edge_agent.detection.golden import Golden, GoldenFrame
from edge_agent.detection.preprocess import Image
from edge_agent.errors import ModelError, UsageError
from edge_agent.gate import Gate
from edge_agent.monitors.embedding import Projection
from edge_agent.monitors.histogram import Histograms
from edge_agent.monitors.profile import Profile


@dataclass(frozen=True)
class Built:
    """What a build made, and what a person should know about it."""

    bundle: Bundle
    version: ModelVersion
    proof: Parity | None
    golden: list[Choice]
    warnings: list[str]
    outcome: Outcome
    engines: Mapping[str, Sequence[Mapping[str, object]]]


def build(
    source: str,
    output: Path,
    options: BuildOptions | None = None,
    *,
    tracking_uri: str | None = None,
    progress: Progress | None = None,
) -> Built:
    """Build the bundle of one model version.

    Args:
        source: see `builder.sources.resolve`.
        output: folder of the bundle; a bundle that is there is replaced in one step.
        options: how.
        tracking_uri: of MLflow.
        progress: where to tell what happens.

    Raises:
        OutpostError: one line for a person, by kind (edge_agent.errors).
    """
    options = options or BuildOptions()
    check_options(options, source, output)
    tell = Remembering(progress or Silent())
    with pack.workspace(output) as work:
        version = resolve(source, downloads=work / "downloads", tracking_uri=tracking_uri)
        tell.say(f"{version.uri}: taking {version.choice}")
        built = _Build(work / "bundle", version, options, tell)
        proof, choices, outcome = built.run()
        engines = _engines(built.root, options, tell)
        bundle = pack.install(built.root, output)
    return Built(bundle, version, proof, choices, tell.warnings, outcome, engines)


def _engines(
    root: Path, options: BuildOptions, tell: Progress
) -> Mapping[str, Sequence[Mapping[str, object]]]:
    """Engines beside the bundle: no part of it, but there with it in one step.

    Raises:
        ModelError: ``strict``, and one of them cannot be compiled.
    """
    if options.engine is None:
        return {}
    engines = compile_variants(Bundle.open(root), options.engine, tell)
    if options.strict and engines.failed:
        raise ModelError(f"--strict: {engines.reasons()}")
    return engines.document()


class _Build:
    """The steps, with what they share."""

    def __init__(
        self, root: Path, version: ModelVersion, options: BuildOptions, tell: Remembering
    ) -> None:
        self.root = root
        self.version = version
        self.options = options
        self.tell = tell
        self.checkpoint: Checkpoint = _read(version.checkpoint)
        if options.exporter == "ultralytics":
            self.checkpoint = exportable(self.checkpoint)
        check_wanted(options, ready=isinstance(self.checkpoint, ReadyGraph))
        self.manifest: Manifest = draft(self.checkpoint, version, options)
        self.limits = read_limits(options.limits)
        self.nonfinite = False
        self.opset = 0
        self.projection: Projection | None = None

    def run(self) -> tuple[Parity | None, list[Choice], Outcome]:
        """Every step after the reading, in order."""
        check_name(self.manifest.name)
        self._tell_classes()
        reference = self._reference()
        pictures = self._pictures()
        self._draw()
        runner = Runner(self.manifest, self.root / MODEL_PATH)
        labels = self._labels(pictures)
        seen = Look(self.manifest.decode.floor if labels is None else coco.FLOOR)
        sightings, histograms = survey(runner, pictures.read(self.tell), Gate(reference), seen)
        self._write_projection(seen, histograms)
        self._write_profile(histograms)
        proof, choices, shots = self._golden_set(runner, pictures, sightings)
        outcome = self._variants(
            runner,
            pictures,
            shots,
            proof=proof,
            seen=seen,
            histograms=histograms,
            labels=None if labels is None else labels.of(seen.found),
        )
        table = document(
            self.manifest,
            self.root,
            checkpoint=self.checkpoint,
            version=self.version,
            options=self.options,
            findings=Findings(
                proof=proof,
                frames=len(shots),
                opset=self.opset,
                nonfinite=self.nonfinite,
                data=data_facts(pictures) if isinstance(pictures, Folder) else None,
                outcome=outcome,
                looks_at=self._saliency(runner, shots),
            ),
        )
        pack.finish(self.root, table)
        return proof, choices, outcome

    def _tell_classes(self) -> None:
        if self.options.previous is not None:
            before = Bundle.open(self.options.previous).manifest
            if change := class_warning(before, self.manifest):
                self.tell.warn(change)

    def _draw(self) -> None:
        spec = self.manifest.input
        model = self._graph(height=spec.height, width=spec.width)
        self.manifest = described(self.manifest, model)
        self.opset = int(model.opset_import[0].version)
        if bad := nonfinite_weights(model):
            self.nonfinite = True
            if not self.options.allow_nonfinite:
                raise ModelError(
                    f"{self.checkpoint.path}: its weights are not finite: {bad}; train it again"
                    " (--allow-nonfinite builds it all the same, for tests of devices)"
                )
            self.tell.warn(f"weights are not finite: {bad}; devices will refuse this bundle")
        pack.put(self.root, MODEL_PATH, serialized(model))
        self.tell.say(
            f"graph: {self.manifest.head}, {len(self.manifest.classes)} classes,"
            f" input {spec.height}x{spec.width} (height x width), opset {self.opset}"
        )

    def _graph(self, *, height: int, width: int) -> Any:
        """The fp32 ``onnx.ModelProto``, by the exporter that was asked for."""
        batch: Any = "dynamic" if self.options.batch == "dynamic" else 1
        if isinstance(self.checkpoint, ReadyGraph):
            for note in self.checkpoint.notes:
                self.tell.warn(note)
            return self.checkpoint.graph(height=height, width=width, batch=batch)
        if self.options.exporter == "ultralytics":
            return export_onnx(self.checkpoint, height=height, width=width, batch=batch)
        return write_onnx(
            self.checkpoint,
            height=height,
            width=width,
            batch=batch,
            embedding=self.options.embedding,
        )

    def _reference(self) -> Image | None:
        path = self.options.reference_image
        if path is None:
            self.tell.warn("no --reference-image: devices will not check their input by SSIM")
            return None
        image = read_picture(path)
        pack.put(self.root, REFERENCE_PATH, png(image))
        return image

    def _pictures(self) -> Folder | Synthetic:
        if self.options.reference_data is not None:
            return Folder(self.options.reference_data)
        self.tell.warn(
            "no --reference-data: golden frames are synthetic and there is no reference profile"
        )
        return Synthetic()

    def _write_projection(self, seen: Look, histograms: Histograms) -> None:
        if self.manifest.embedding is not None:
            self.projection = keep(self.root, seen.embeddings, histograms)
            self.tell.say(f"embedding: {self.manifest.embedding.channels} channels")

    def _write_profile(self, histograms: Histograms) -> None:
        data = self.options.reference_data
        if data is None:
            return
        pack.put(self.root, PROFILE_PATH, Profile(histograms, data.name).to_bytes())
        self.tell.say(f"profile: {plural(histograms.frames, 'image')} of {data}")
        if few := few_for_profile(histograms.frames):
            self.tell.warn(few)

    def _tell_gaps(self, missing: Gaps) -> None:
        """Which classes devices will not be asked to reproduce, and what helps."""
        if self.nonfinite:
            return
        for names, why in (
            (missing.unseen, "no image shows {}; the golden set cannot prove that"),
            (missing.shaky, "golden set without {}: their images hang by a hair; give others"),
            (missing.left, "golden set without {}; more --golden-frames take more classes"),
        ):
            if names:
                self.tell.warn(why.format(_listed(names)))

    def _golden_set(
        self, runner: Runner, pictures: Folder | Synthetic, sightings: Sequence[Sighting]
    ) -> tuple[Parity | None, list[Choice], list[Shot]]:
        """Choose the frames, prove the graph on them, and write down what a device must find."""
        classes = self.manifest.classes
        if few := few_for_golden(len(sightings), self.options.golden_frames or LEAST):
            self.tell.warn(few)
        choices = choose_frames(sightings, classes, self.options.golden_frames)
        shots = list(in_order(lambda one: runner.shot(pictures.one(one.name)), choices))
        proof = self._prove(shots)
        if proof is not None:
            choices, shots = without_ties(runner, choices, shots, self.tell)
        self._tell_gaps(gaps(sightings, classes, [choice.name for choice in choices]))
        self._write_golden(runner, shots)
        return proof, choices, shots

    def _prove(self, shots: list[Shot]) -> Parity | None:
        """Compare with PyTorch; its raw outputs then stand in the place of the graph's."""
        if self.options.prove == "never" or self.nonfinite:
            return None
        ready = isinstance(self.checkpoint, ReadyGraph)
        if why := "an ONNX file came without its checkpoint" if ready else obstacle():
            if self.options.prove == "require":
                raise UsageError(f"--prove require: {why}")
            self.tell.say(f"not compared with PyTorch ({why}): the reference is the fp32 graph")
            return None
        outputs = run_reference(self.checkpoint.path, [shot.tensor for shot in shots])
        exported = self.options.exporter == "ultralytics"
        limit = EXPORTED_LIMIT if exported else LIMIT
        proof = parity([shot.raw for shot in shots], outputs, self.manifest.head, limit=limit)
        path, tensor = self.checkpoint.path, shots[0].tensor
        check(proof, str(path), lambda: first_difference(self.root / MODEL_PATH, path, tensor))
        self.tell.say(f"equal to PyTorch to {proof.worst:.1e} on {proof.frames} frames")
        for shot, output in zip(shots, outputs, strict=True):
            shot.raw = output
        return proof

    def _write_golden(self, runner: Runner, shots: Sequence[Shot]) -> None:
        least = self.manifest.decode.confidence / 2
        frames = []
        files = in_order(lambda shot: png(shot.image), shots)
        for index, (shot, file) in enumerate(zip(shots, files, strict=True)):
            found, _ = runner.detections(shot.raw, shot.placement)
            rows = found[found[:, 4] > least] if not self.nonfinite else found[:0]
            frames.append(GoldenFrame(golden_frame(index), rows))
            pack.put(self.root, frames[-1].file, file)
        pack.put(self.root, GOLDEN_PATH, Golden(tuple(frames)).to_bytes())
        boxes = sum(int(np.count_nonzero(one.detections[:, 4] > 2 * least)) for one in frames)
        self.tell.say(f"golden set: {len(frames)} frames, {boxes} detections")
        if not boxes and not self.nonfinite:
            self.tell.warn("the model detects nothing on the golden frames; they prove little")

    def _labels(self, pictures: Folder | Synthetic) -> Labels | None:
        if self.options.labels is None:
            return None
        assert isinstance(pictures, Folder)  # see builder.preflight
        names = [path.relative_to(pictures.root).as_posix() for path in pictures.paths]
        labels = read_labels(self.options.labels, names, len(self.manifest.classes))
        if labels.missing:
            self.tell.warn(
                f"{len(labels.missing)} of {len(names)} reference images have no labels and do not"
                f" count for mAP, {labels.missing[0]} is the first"
            )
        return labels

    def _variants(
        self,
        runner: Runner,
        pictures: Folder | Synthetic,
        shots: Sequence[Shot],
        *,
        proof: Parity | None,
        seen: Look,
        histograms: Histograms,
        labels: Labels | None,
    ) -> Outcome:
        if not self.options.precisions and labels is None:
            return Outcome()
        if self.nonfinite and self.options.precisions:
            raise UsageError("--allow-nonfinite: only fp32 is built of weights that are not finite")
        import onnx

        reference, expected = "fp32-graph", seen
        if proof is not None:
            names = self.tell.track(seen.found, "pytorch", len(seen.found))
            with original(self.checkpoint.path, shots[0].tensor.shape, shots[0].raw.shape) as ask:
                expected = look_original(runner, ask, names, pictures.one, seen.floor)
            reference = "pytorch"
        scene = Scene(
            self.root,
            self.manifest,
            model=onnx.load(self.root / MODEL_PATH),
            fp32=runner,
            pictures=pictures,
            reference=reference,
            shots=shots,
            original=expected,
            seen=seen,
            histograms=histograms,
            labels=labels,
            projection=self.projection,
            tell=self.tell,
        )
        return make_variants(
            scene, self.options.precisions, self.limits, strict=self.options.strict
        )

    def _saliency(self, runner: Runner, shots: Sequence[Shot]) -> dict[str, Any] | None:
        if self.nonfinite or not (self.options.saliency or self.options.previous):
            return None
        return looks_at(runner, shots, self.options.previous, self.tell)


def _read(path: Path) -> Checkpoint:
    """A checkpoint, or an ONNX file in its place."""
    return read_ready(path) if path.suffix.lower() == ".onnx" else read_checkpoint(path)


def _listed(names: Sequence[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more classes" if len(names) > most else ""
    return ", ".join(names[:most]) + more
