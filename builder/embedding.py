"""The embedding of a build: its projection from the reference pictures, and counts for the profile.

An embedding is the mean of the network's coarsest features over the picture, a second output that
costs next to nothing. What devices count of it is made here, of the fp32 graph; variants are looked
at by the same projection.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from builder import pack
from builder.graph.writer import EMBEDDING
from builder.options import BuildOptions
from builder.paths import EMBEDDING_PATH
from edge_agent.bundle import EmbeddingSpec, Manifest
from edge_agent.detection.decode import Floats
from edge_agent.errors import ModelError, UsageError
from edge_agent.monitors.embedding import LEAST_PICTURES, Projection
from edge_agent.monitors.histogram import Histograms
from edge_agent.monitors.observe import observe_input


def check_wanted(options: BuildOptions, *, ready: bool) -> None:
    """Refuse ``--embedding`` where there is nothing to make it of.

    Args:
        options: of the build.
        ready: whether what is built from is an ONNX file.

    Raises:
        UsageError: saying what to give.
    """
    if not options.embedding:
        return
    if ready or options.exporter != "own":
        raise UsageError(
            "--embedding: only Outpost's own graph writer gives one; take the .pt file"
        )
    if options.reference_data is None:
        raise UsageError(
            f"--embedding: give --reference-data, {LEAST_PICTURES} images or more: an embedding is"
            " compared with theirs"
        )


def described(manifest: Manifest, model: Any) -> Manifest:
    """The draft with the embedding that an ``onnx.ModelProto`` gives, if any."""
    for output in model.graph.output[1:]:
        if output.name == EMBEDDING:
            channels = int(output.type.tensor_type.shape.dim[1].dim_value)
            return replace(manifest, embedding=EmbeddingSpec(EMBEDDING, channels, EMBEDDING_PATH))
    return manifest


def keep(root: Path, embeddings: Mapping[str, Floats], histograms: Histograms) -> Projection:
    """Write what devices see of an embedding, by the reference pictures' own; count them with it.

    Args:
        root: of the bundle.
        embeddings: picture -> what the fp32 graph gives for it.
        histograms: of the profile.

    Raises:
        UsageError: there are too few.
        ModelError: one of them is not finite.
    """
    projection = _project(embeddings)
    count(projection, embeddings, histograms)
    pack.put(root, EMBEDDING_PATH, projection.to_bytes())
    return projection


def _project(embeddings: Mapping[str, Floats]) -> Projection:
    if len(embeddings) < LEAST_PICTURES:
        raise UsageError(
            f"--embedding: {len(embeddings)} reference images are too few to say what is usual;"
            f" give {LEAST_PICTURES} or more"
        )
    try:
        return Projection.fit(list(embeddings.values()))
    except ValueError as error:
        raise ModelError(f"its embedding cannot be used: {error}") from None


def count(projection: Projection, embeddings: Mapping[str, Floats], histograms: Histograms) -> None:
    """Count every picture's embedding into a profile."""
    for embedding in embeddings.values():
        observe_input(histograms, projection.features(embedding))
