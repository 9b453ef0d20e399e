"""Where the parts of a bundle lie in it."""

MODEL_PATH = "model/fp32.onnx"
GOLDEN_PATH = "golden/expected.json"
PROFILE_PATH = "profile.json"
EMBEDDING_PATH = "embedding.json"
REFERENCE_PATH = "reference.png"


def golden_frame(index: int) -> str:
    """The file of the golden frame with this number."""
    return f"golden/{index:04d}.png"
