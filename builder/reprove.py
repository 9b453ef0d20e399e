"""Repeat, or add, the proof of a finished bundle against the checkpoint it was made from."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from builder import pack
from builder.blame import first_difference
from builder.checkpoint import read_checkpoint
from builder.images import read_picture
from builder.options import TOLERANCES
from builder.prove import EXPORTED_LIMIT, LIMIT, Parity, check, obstacle, parity, run_reference
from builder.runner import Runner, Shot
from builder.sources import resolve
from edge_agent.bundle import MANIFEST_NAME, Bundle
from edge_agent.detection.decode import Floats
from edge_agent.detection.golden import Golden, GoldenFrame, compare
from edge_agent.errors import UsageError, storage_errors


@contextmanager
def original(bundle: Bundle, checkpoint: Path | None, tracking_uri: str | None) -> Iterator[Path]:
    """The checkpoint that a bundle was made from, downloaded where it is not given.

    Args:
        bundle: its manifest's ``source.uri`` says where the checkpoint lies.
        checkpoint: the file, when the caller has it.
        tracking_uri: of MLflow; None takes MLFLOW_TRACKING_URI or ``sqlite:///mlflow.db``.

    Raises:
        UsageError: PyTorch is not installed, or the bundle was made from a local file.
        RegistryError: MLflow does not have it any more.
    """
    if checkpoint is not None:
        yield checkpoint
        return
    _check_provable(bundle)
    uri = str(bundle.manifest.source.get("uri", ""))
    if not uri.startswith(("models:", "runs:")):
        raise UsageError(
            f"{bundle.root}: was made from the local file {uri}; name it with --checkpoint"
        )
    with (
        storage_errors(Path(tempfile.gettempdir())),
        tempfile.TemporaryDirectory(prefix="outpost-prove-") as folder,
    ):
        yield resolve(uri, downloads=Path(folder), tracking_uri=tracking_uri).checkpoint


def _check_provable(bundle: Bundle) -> None:
    if why := obstacle():
        raise UsageError(f"{bundle.root}: cannot be proven here: {why}")


def prove(bundle: Bundle, checkpoint: Path, *, write: bool = False) -> tuple[Parity, Bundle]:
    """Compare the bundle's fp32 graph with PyTorch on its golden frames.

    Args:
        bundle: its hashes are checked first.
        checkpoint: the ``.pt`` file; must be the one that the manifest names.
        write: make PyTorch the golden set's reference, as a build with it would have done; the
            bundle is replaced in one step and has another digest then. The reference images are
            not here: agreement, drift and mAP stay against what they were.

    Returns:
        The proof, and the bundle as it is now.

    Raises:
        UsageError: PyTorch is not installed, or the checkpoint is another one.
        ModelError: the graph is not the original.
    """
    _check_provable(bundle)
    bundle.verify()
    read = read_checkpoint(checkpoint)
    wanted = bundle.manifest.source.get("checkpoint_sha256")
    if read.sha256 != wanted:
        raise UsageError(
            f"{checkpoint}: SHA-256 {read.sha256[:12]}… is not the checkpoint of this bundle"
            f" ({str(wanted)[:12]}…)"
        )
    model = bundle.path(bundle.manifest.variant("fp32").path)
    runner = Runner(bundle.manifest, model)
    files = [frame.file for frame in Golden.read(bundle).frames]
    shots = [runner.shot(read_picture(bundle.path(file))) for file in files]
    outputs = run_reference(checkpoint, [shot.tensor for shot in shots])
    limit = EXPORTED_LIMIT if bundle.manifest.source.get("exporter") else LIMIT
    proof = parity([shot.raw for shot in shots], outputs, bundle.manifest.head, limit=limit)
    tensor = shots[0].tensor
    check(proof, str(bundle.root), lambda: first_difference(model, checkpoint, tensor))
    if not write:
        return proof, bundle
    return proof, _rewrite(bundle, proof, _golden(runner, files, shots, outputs))


def _golden(
    runner: Runner, files: Sequence[str], shots: Sequence[Shot], outputs: Sequence[Floats]
) -> Golden:
    """The golden set with PyTorch's detections, down to half of the confidence like a build's.

    Where only a tie of scores decides between the two, the frame keeps what the graph gives.
    """
    confidence = runner.manifest.decode.confidence
    frames = []
    for file, shot, output in zip(files, shots, outputs, strict=True):
        theirs, ours = (runner.detections(raw, shot.placement)[0] for raw in (output, shot.raw))
        rows = ours if compare(theirs, ours, TOLERANCES["fp32"], confidence) else theirs
        frames.append(GoldenFrame(file, rows[rows[:, 4] > confidence / 2]))
    return Golden(tuple(frames))


def _rewrite(bundle: Bundle, proof: Parity, golden: Golden) -> Bundle:
    """The bundle with another golden set and proof; everything else stays as it is."""
    document = dict(bundle.manifest.document)
    document["golden"] = {**document["golden"], "reference": "pytorch"}
    document["variants"] = [
        {**one, "parity": {**one["parity"], **proof.document()}} if one["id"] == "fp32" else one
        for one in document["variants"]
    ]
    with pack.workspace(bundle.root) as work:
        root = work / "bundle"
        shutil.copytree(bundle.root, root, ignore=shutil.ignore_patterns("engines", MANIFEST_NAME))
        pack.put(root, bundle.manifest.golden.path, golden.to_bytes())
        pack.finish(root, document)
        if (engines := bundle.root / "engines").is_dir():
            shutil.copytree(engines, root / "engines")  # a cache beside the bundle's own files
        return pack.install(root, bundle.root)
