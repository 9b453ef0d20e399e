"""From a registry version to a release, without torch.

``sources`` finds the checkpoint, ``checkpoint`` reads it, ``graph`` writes ONNX, ``build`` proves
and packs the bundle, ``publish`` signs it into the release repository.
"""

__all__: list[str] = []
