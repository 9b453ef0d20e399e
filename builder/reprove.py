"""Repeat the proof of a finished bundle against the checkpoint it was made from."""

from __future__ import annotations

from pathlib import Path

from builder.checkpoint import read_checkpoint
from builder.images import read_picture
from builder.prove import EXPORTED_LIMIT, LIMIT, Parity, check, obstacle, parity, run_reference
from builder.runner import Runner
from edge_agent.bundle import Bundle
from edge_agent.errors import UsageError
from edge_agent.golden import Golden


def prove(bundle: Bundle, checkpoint: Path) -> Parity:
    """Compare the bundle's fp32 graph with PyTorch on its golden frames.

    Args:
        bundle: its hashes are checked first.
        checkpoint: the ``.pt`` file; must be the one that the manifest names.

    Raises:
        UsageError: PyTorch is not installed, or the checkpoint is another one.
        ModelError: the graph is not the original.
    """
    if why := obstacle():
        raise UsageError(f"{bundle.root}: cannot be proven here: {why}")
    bundle.verify()
    read = read_checkpoint(checkpoint)
    wanted = bundle.manifest.source.get("checkpoint_sha256")
    if read.sha256 != wanted:
        raise UsageError(
            f"{checkpoint}: SHA-256 {read.sha256[:12]}… is not the checkpoint of this bundle"
            f" ({str(wanted)[:12]}…)"
        )
    runner = Runner(bundle.manifest, bundle.path(bundle.manifest.variant("fp32").path))
    shots = [
        runner.shot(read_picture(bundle.path(frame.file))) for frame in Golden.read(bundle).frames
    ]
    outputs = run_reference(checkpoint, [shot.tensor for shot in shots])
    limit = EXPORTED_LIMIT if bundle.manifest.source.get("exporter") else LIMIT
    proof = parity([shot.raw for shot in shots], outputs, bundle.manifest.head, limit=limit)
    check(proof, str(bundle.root))
    return proof
