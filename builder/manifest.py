"""The manifest of a bundle that is being built: first a draft to run with, then the document."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from builder.checkpoint import Checkpoint
from builder.options import DECODE, DEFAULT_SIZE, TOLERANCES, BuildOptions, preprocessing
from builder.paths import GOLDEN_PATH, MODEL_PATH, PROFILE_PATH, REFERENCE_PATH
from builder.prove import Parity
from builder.provenance import source_table
from builder.sources import ModelVersion
from builder.sources.version import utc_text
from builder.variants import Outcome
from edge_agent.bundle import SCHEMA_VERSION, GoldenSpec, Manifest, Variant
from edge_agent.errors import ModelError, UsageError

_LARGEST_UNASKED = 2048


def _trained_size(checkpoint: Checkpoint) -> tuple[int, int]:
    """Height and width in pixels as in training.

    Raises:
        UsageError: a small file asks for pictures that take gigabytes; a person has to want that.
    """
    height, width = checkpoint.sides or (DEFAULT_SIZE, DEFAULT_SIZE)
    if max(height, width) > _LARGEST_UNASKED:
        raise UsageError(
            f"{checkpoint.path}: says that it was trained on {height} x {width} pixels; give"
            f" --imgsz to build for more than {_LARGEST_UNASKED}"
        )
    return height, width


def draft(checkpoint: Checkpoint, version: ModelVersion, options: BuildOptions) -> Manifest:
    """A manifest with the contracts, enough to run the graph; it has no files yet.

    Raises:
        ModelError: the model takes other pictures than RGB.
        UsageError: the training's size is one that a person has to ask for.
    """
    if checkpoint.channels != 3:
        raise ModelError(
            f"{checkpoint.path}: takes pictures of {checkpoint.channels} channels; devices give it"
            " three, RGB; train it with `channels: 3`"
        )
    height, width = options.size or _trained_size(checkpoint)
    return Manifest(
        name=options.name or version.name,
        version=options.version or version.version,
        created=_created(checkpoint, version),
        classes=checkpoint.names,
        head=checkpoint.head,
        input=preprocessing(height, width),
        decode=DECODE,
        variants=(Variant("fp32", "fp32", MODEL_PATH, 0, {}),),
        golden=GoldenSpec(GOLDEN_PATH, "fp32-graph", 0, options.reference_data is None, TOLERANCES),
        profile=None,
        reference_image=None,
        embedding=None,
        files=(),
        source={},
        license=checkpoint.licence or "",
        document={},
    )


def _created(checkpoint: Checkpoint, version: ModelVersion) -> str:
    """The version's own time; for a bare file that of its training, which copying keeps."""
    if version.registered or not checkpoint.date:
        return version.created
    try:
        trained = datetime.fromisoformat(checkpoint.date)
    except ValueError:
        return version.created
    aware = trained if trained.tzinfo else trained.replace(tzinfo=timezone.utc)
    return utc_text(aware.timestamp())


@dataclass(frozen=True)
class Findings:
    """What a build found out about a model, for its manifest.

    Attributes:
        proof: against PyTorch; None when nothing was compared.
        frames: in the golden set.
        opset: of the fp32 graph.
        nonfinite: its weights hold NaN or Inf.
        data: what the reference images are; None without them.
        outcome: of the variants.
        looks_at: the table ``saliency``; None when it was not asked for.
    """

    proof: Parity | None
    frames: int
    opset: int
    nonfinite: bool
    data: dict[str, Any] | None
    outcome: Outcome
    looks_at: dict[str, Any] | None

    @property
    def reference(self) -> str:
        """What made the golden detections."""
        return "pytorch" if self.proof else "fp32-graph"


def document(
    manifest: Manifest,
    root: Path,
    *,
    checkpoint: Checkpoint,
    version: ModelVersion,
    options: BuildOptions,
    findings: Findings,
) -> dict[str, Any]:
    """The manifest's table without ``files``, from the draft and from what lies in ``root``.

    Only what never changes for a model version goes in: a second build must make the same bytes.
    """
    free = {"batch": options.batch} if options.batch != "1" else {}
    return {
        "schema_version": SCHEMA_VERSION,
        "name": manifest.name,
        "version": manifest.version,
        "created": manifest.created,
        "classes": list(manifest.classes),
        "head": manifest.head,
        "license": manifest.license,
        "input": asdict(manifest.input) | free,
        "decode": asdict(manifest.decode),
        **_variants(findings),
        **({"saliency": findings.looks_at} if findings.looks_at else {}),
        "golden": _golden(manifest, findings),
        "profile": PROFILE_PATH if (root / PROFILE_PATH).exists() else None,
        "reference_image": REFERENCE_PATH if (root / REFERENCE_PATH).exists() else None,
        **({"embedding": asdict(manifest.embedding)} if manifest.embedding else {}),
        "source": source_table(checkpoint, version, findings.data) | _making(options, findings),
        "requires": {"onnx_opset": findings.opset},
    }


def _variants(findings: Findings) -> dict[str, Any]:
    """``variants``, the most exact one first, and ``left_out`` where there is any."""
    proof, outcome = findings.proof, findings.outcome
    compared = proof.document() if proof else {"reference": findings.reference}
    fp32 = {
        "id": "fp32",
        "precision": "fp32",
        "path": MODEL_PATH,
        "opset": findings.opset,
        "parity": compared | outcome.fp32,
    }
    left_out = {"left_out": outcome.left_out} if outcome.left_out else {}
    return {"variants": [fp32, *outcome.entries], **left_out}


def _golden(manifest: Manifest, findings: Findings) -> dict[str, Any]:
    tolerances = {**TOLERANCES, **findings.outcome.tolerances}
    return {
        "path": GOLDEN_PATH,
        "reference": findings.reference,
        "frames": findings.frames,
        "synthetic": manifest.golden.synthetic,
        "tolerance": {name: asdict(value) for name, value in tolerances.items()},
    }


def _making(options: BuildOptions, findings: Findings) -> dict[str, Any]:
    """What of the making a reader of the origin should know; usually nothing."""
    odd = {"nonfinite_weights": True} if findings.nonfinite else {}
    return odd | ({"exporter": options.exporter} if options.exporter != "own" else {})
