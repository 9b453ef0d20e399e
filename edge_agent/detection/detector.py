"""A bundle that runs: picture in, detections out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edge_agent.backends import (
    Backend,
    BackendOptions,
    Contract,
    Host,
    ModelFile,
    Outputs,
    load_backend,
)
from edge_agent.bundle import Bundle, Manifest
from edge_agent.detection.decode import Floats, decode
from edge_agent.detection.preprocess import Image, Letterbox, Placement, Tensor
from edge_agent.engines.compile import MAX_BATCH


@dataclass(frozen=True)
class Result:
    """What one frame gave.

    Attributes:
        detections: (n, 6) float32 x0, y0, x1, y1, score, class_id in pixels of the picture, best
            first, down to the manifest's ``decode.floor``.
        nonfinite: whether the raw output held NaN or Inf.
        embedding: (channels,) float32; None where the variant or the backend gives none.
    """

    detections: Floats
    nonfinite: bool
    preprocess_ms: float
    infer_ms: float
    postprocess_ms: float
    embedding: Floats | None = None

    @property
    def total_ms(self) -> float:
        """All three stages."""
        return self.preprocess_ms + self.infer_ms + self.postprocess_ms


class Detector:
    """Letterbox, backend and decode of one bundle.

    `detect` does all three, in one thread at a time. Who overlaps them calls `letterbox`, `infer`
    and `finish`, each in one thread at a time.
    """

    def __init__(self, manifest: Manifest, backend: Backend) -> None:
        self.manifest = manifest
        self._backend = backend

    @cached_property
    def _letterbox(self) -> Letterbox:
        """Made when `detect` is used: the agent's cameras bring their own."""
        return self.letterbox()

    @classmethod
    def load(
        cls,
        bundle: Bundle,
        *,
        variant: str = "auto",
        providers: tuple[str, ...] = ("cpu",),
        fallback: str = "refuse",
        threads: int = 0,
        host: Host = Host(),  # noqa: B008 - frozen
    ) -> Detector:
        """Load a variant of a bundle (its files are not hashed here; see `Bundle.verify`).

        Args:
            bundle: whose variant.
            variant: its id, or ``auto``.
            providers: in the wanted order, names of `edge_agent.backends.PROVIDERS`.
            fallback: whether another provider than the first will do (``allow``) or not.
            threads: of the CPU provider, 0 for all cores.
            host: where runtimes come from.

        Raises:
            BundleError: when there is no such variant.
            ModelError: when it cannot be loaded, is not what the manifest promises, or the wanted
                provider cannot be had and ``fallback`` is ``refuse``.
        """
        manifest = bundle.manifest
        chosen = manifest.variant(variant)
        file = ModelFile(
            bundle.path(chosen.path),
            manifest.entry(chosen.path).sha256,
            chosen.precision,
            bundle.root,
        )
        options = BackendOptions(providers, fallback, threads)
        return cls(manifest, load_backend(file, contract(manifest), options, host))

    @property
    def provider(self) -> str:
        """The execution provider that is active."""
        return self._backend.provider

    @property
    def wanted_provider(self) -> str:
        """The execution provider that was asked for first."""
        return self._backend.wanted_provider

    @property
    def embeds(self) -> bool:
        """Whether each frame comes with an embedding."""
        return self._backend.embeds

    @property
    def fallback_reason(self) -> str:
        """Why another provider is active than the wanted one; "" when it is not."""
        return self._backend.fallback_reason

    def detect(self, image: Image) -> Result:
        """Detections in one (H, W, 3) BGR uint8 picture.

        Raises:
            SourceError: when the picture is not one.
            ModelError: when the runtime fails.
        """
        start = time.perf_counter()
        tensor, placement = self._letterbox(image)
        ready = time.perf_counter()
        (outputs,) = self.infer([tensor])
        inferred = time.perf_counter()
        return self.finish(
            outputs,
            placement,
            preprocess_ms=(ready - start) * 1e3,
            infer_ms=(inferred - ready) * 1e3,
        )

    def letterbox(self) -> Letterbox:
        """One more preprocessing with a buffer of its own, for who prepares frames ahead."""
        return Letterbox(self.manifest.input)

    @property
    def max_batch(self) -> int:
        """Pictures that one run of the network takes."""
        return self._backend.max_batch

    def infer(self, tensors: Sequence[Tensor]) -> list[Outputs]:
        """What the network gives for each (1, 3, h, w) float32 tensor, at most `max_batch` of them.

        Raises:
            ModelError: when the runtime fails.
        """
        if len(tensors) == 1:
            return [self._backend.outputs(tensors[0])]
        return self._backend.outputs(np.concatenate(tensors)).parts()

    def finish(
        self, outputs: Outputs, placement: Placement, *, preprocess_ms: float, infer_ms: float
    ) -> Result:
        """Decode what the network gave for one picture.

        Args:
            outputs: of `infer`.
            placement: of the picture, from its letterbox.
            preprocess_ms: what the letterbox took.
            infer_ms: what the network took.
        """
        start = time.perf_counter()
        spec = self.manifest.decode
        detections, nonfinite = decode(outputs.raw, self.manifest.head, spec, placement)
        embedding = None if outputs.embedding is None else outputs.embedding[0]
        postprocess_ms = (time.perf_counter() - start) * 1e3
        return Result(
            detections, nonfinite, preprocess_ms, infer_ms, postprocess_ms, embedding=embedding
        )

    def warm_up(self, runs: int = 2, together: int = 1) -> None:
        """Run the network on nothing, so that the first real frames are not the slow ones.

        Runtimes prepare for each number of pictures anew, and memory grows with it: so the largest
        comes first, and one picture, which is the usual case, last.

        Args:
            runs: on one picture.
            together: frames that may wait at the same time; as far as the network takes them in
                one run (`max_batch`), it is run on each number of them.

        Raises:
            ModelError: when the runtime fails.
        """
        blank = np.zeros(contract(self.manifest).input_shape, np.float32)
        for pictures in range(min(together, self.max_batch), 1, -1):
            self.infer([blank] * pictures)
        for _ in range(runs):
            self.infer([blank])

    def close(self) -> None:
        """Let go of the model."""
        self._backend.close()


def contract(manifest: Manifest) -> Contract:
    """What the manifest promises of each of its graphs."""
    anchors = manifest.head == "yolov5-anchor"
    return Contract(
        input_shape=(1, 3, manifest.input.height, manifest.input.width),
        channels=len(manifest.classes) + (5 if anchors else 4),
        channel_axis=2 if anchors else 1,
        max_batch=MAX_BATCH if manifest.free_batch else 1,
        embedding=manifest.embedding,
    )
